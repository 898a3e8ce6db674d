"""A server of files in memory, mounted in a guest."""

import itertools
import os
import pathlib
import signal

import pytest

from guest import Guest, Process, Result

numbers = itertools.count()


def example(name: str) -> pathlib.Path:
    """An example program of the crate `posixlake-nfs`."""
    binary = os.environ.get("POSIXLAKE_BIN")
    if not binary:
        pytest.skip("POSIXLAKE_BIN names no program")
    program = pathlib.Path(binary).resolve().parent / "examples" / name
    if not program.exists():
        pytest.fail(f"{program} is missing: cargo build --workspace --example {name}")
    return program


class Mount:
    """A server that runs in a guest, and its mount. `command` starts the server on `{address}`: that of files in memory, where none is given."""

    def __init__(self, guest: Guest, options: str = "", command: str | None = None) -> None:
        self.guest, self.options = guest, options
        number = next(numbers)
        self.port = 20000 + number
        self.path = f"/mnt/{number}"
        self.command = (command or f"{example('memory')} {{address}}").format(address=f"127.0.0.1:{self.port}")
        self.server = self.serve()
        guest.mount(self.path, self.port, options)

    def serve(self) -> Process:
        """Starts the server; after its end, on the same address again."""
        self.server = self.guest.start(f"exec {self.command}")
        self.server.wait_for("listening on")
        return self.server

    def crash(self) -> None:
        """Kills the server. Its clients wait for another."""
        self.server.kill(signal.SIGKILL)

    def run(self, command: str, timeout: float = 120, check: bool = True) -> Result:
        return self.guest.run(f"cd {self.path} && {{ {command}\n}}", timeout, check)

    def remount(self, options: str | None = None) -> None:
        self.guest.unmount(self.path)
        self.guest.mount(self.path, self.port, self.options if options is None else options)

    def end(self) -> str:
        """Unmounts and stops the server; what it counted."""
        self.guest.unmount(self.path)
        return self.server.kill(signal.SIGTERM).check().stdout
