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
    return pathlib.Path(binary).resolve().parent / "examples" / name


class Mount:
    """A server of files in memory, mounted."""

    def __init__(self, guest: Guest, options: str = "", arguments: str = "") -> None:
        self.guest, self.options = guest, options
        number = next(numbers)
        self.port = 20000 + number
        self.path = f"/mnt/{number}"
        program = example("memory")
        self.server: Process = guest.start(f"exec {program} 127.0.0.1:{self.port} {arguments}")
        self.server.wait_for("listening on")
        guest.mount(self.path, self.port, options)

    def run(self, command: str, timeout: float = 120, check: bool = True) -> Result:
        return self.guest.run(f"cd {self.path} && {{ {command}\n}}", timeout, check)

    def remount(self, options: str | None = None) -> None:
        self.guest.unmount(self.path)
        self.guest.mount(self.path, self.port, self.options if options is None else options)

    def end(self) -> str:
        """Unmounts and stops the server; what it counted."""
        self.guest.unmount(self.path)
        return self.server.kill(signal.SIGTERM).check().stdout
