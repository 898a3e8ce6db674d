"""Guests, and in them mounts: of a server of files in memory, and of a lake."""

import itertools
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator

import pytest

from guest import Guest, Process, missing
from mounted import Mounted

numbers = itertools.count()


def example(name: str) -> pathlib.Path:
    """An example program of the crate `posixlake-nfs`."""
    binary = os.environ.get("POSIXLAKE_BIN")
    if not binary:
        pytest.skip("POSIXLAKE_BIN names no program")
    return pathlib.Path(binary).resolve().parent / "examples" / name


def booted(folder: pathlib.Path, memory: int) -> Iterator[Guest]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    guest = Guest(folder, memory)
    yield guest
    guest.stop()


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    yield from booted(tmp_path_factory.mktemp("guest"), 512)


@pytest.fixture(scope="module")
def small_guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A guest whose memory is short, so that the client writes back and forgets early."""
    yield from booted(tmp_path_factory.mktemp("small-guest"), 160)


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

    def run(self, command: str, timeout: float = 60, check: bool = True):
        return self.guest.run(f"cd {self.path} && {{ {command}\n}}", timeout, check)

    def remount(self, options: str | None = None) -> None:
        self.guest.unmount(self.path)
        self.guest.mount(self.path, self.port, self.options if options is None else options)

    def end(self) -> str:
        """Unmounts and stops the server; what it counted."""
        self.guest.unmount(self.path)
        return self.server.kill(signal.SIGTERM).check().stdout


@pytest.fixture
def mount(guest: Guest, request: pytest.FixtureRequest) -> Iterator[Mount]:
    """A mount; `@pytest.mark.parametrize("mount", [options], indirect=True)` gives it options."""
    mounted = Mount(guest, getattr(request, "param", ""))
    yield mounted
    if mounted.server.running():
        assert "all calls answered" in mounted.end()


@pytest.fixture(scope="session")
def large_guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A guest with room for the engine."""
    yield from booted(tmp_path_factory.mktemp("large-guest"), 3000)


@pytest.fixture
def lake(large_guest: Guest, request: pytest.FixtureRequest) -> Iterator[Mounted]:
    """An empty lake, served and mounted."""
    name = "".join(sign if sign.isalnum() else "-" for sign in request.node.name)[:60]
    mounted = Mounted(large_guest, large_guest.folder / "lakes" / name, os.environ["POSIXLAKE_BIN"])
    yield mounted
    mounted.close()


@pytest.fixture
def host_server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server on the host, and its port."""
    with subprocess.Popen([example("memory"), "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        yield server, int(line.rsplit(":", 1)[1])
        server.terminate()
        assert "all calls answered" in server.stdout.read()
