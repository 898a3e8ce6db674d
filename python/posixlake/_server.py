"""The mount, served by this process."""

from __future__ import annotations

import os
import pathlib
import zlib

from ._database import DatabaseOps
from ._internal import NfsHandle


class NfsServer:
    """A database as files, for NFSv3 clients of this machine.

    Args:
        db: The database.
        port: The port on 127.0.0.1; 0 takes a free one.

    >>> import tempfile
    >>> from posixlake import DatabaseOps, Field, Schema
    >>> db = DatabaseOps.create(tempfile.mkdtemp() + "/db", Schema(fields=[Field(name="id", data_type="Int32")]))
    >>> server = NfsServer(db, port=0)
    >>> server.is_ready()
    True
    >>> server.shutdown()
    >>> server.is_ready()
    False
    """

    def __init__(self, db: DatabaseOps, port: int = 12049) -> None:
        db.flush_write_buffer()
        state = _folder("XDG_STATE_HOME", ".local/state") / "mounts" / _state(db.get_base_path())
        cache = _folder("XDG_CACHE_HOME", ".cache") / "rows"
        self._handle = NfsHandle(db._engine, [f"127.0.0.1:{port}"], state, cache)

    def get_port(self) -> int:
        """The port that it serves on."""
        return self._handle.addresses[0][1]

    def is_ready(self) -> bool:
        """Whether clients can connect."""
        return self._handle.is_ready()

    def shutdown(self) -> None:
        """Applies the edits that clients are done with, and ends. Unmount first."""
        self._handle.shutdown()

    def get_mount_command(self, mount_point: str) -> list[str]:
        """The command that mounts it.

        >>> import inspect
        >>> list(inspect.signature(NfsServer.get_mount_command).parameters)
        ['self', 'mount_point']
        """
        port = self.get_port()
        options = f"vers=3,tcp,hard,nolock,lookupcache=none,port={port},mountport={port},mountproto=tcp,sync"
        return ["sudo", "mount", "-t", "nfs", "-o", options, "localhost:/share", mount_point]

    def get_unmount_command(self, mount_point: str) -> list[str]:
        """The command that unmounts it."""
        return ["sudo", "umount", mount_point]

    def __enter__(self) -> NfsServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()


def _folder(variable: str, default: str) -> pathlib.Path:
    base = os.environ.get(variable)
    return (pathlib.Path(base) if base else pathlib.Path.home() / default) / "posixlake"


def _state(location: str) -> str:
    """The folder of a lake's staged edits: its name for people, and a number that tells it from others of that name."""
    name = "".join(sign for sign in location.rstrip("/").rsplit("/", 1)[-1] if sign.isalnum() or sign in "-_.")
    return f"{name or 'lake'}-{zlib.crc32(location.encode()):08x}"
