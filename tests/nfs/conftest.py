"""Guests, and in them mounts: of a server of files in memory, and of a lake."""

import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from guest import Guest, missing
from mounted import Mounted
from mounts import Mount, example


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


@pytest.fixture(scope="module")
def frugal_guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A guest with room for the engine, whose client holds back little of what it is to write."""
    for guest in booted(tmp_path_factory.mktemp("frugal-guest"), 1200):
        guest.run("cd /proc/sys/vm && echo 2000000 > dirty_background_bytes && echo 4000000 > dirty_bytes")
        yield guest


@pytest.fixture
def program() -> str:
    return os.environ["POSIXLAKE_BIN"]


def served(guest: Guest, request: pytest.FixtureRequest, *more: str) -> Iterator[Mounted]:
    name = "".join(sign if sign.isalnum() else "-" for sign in request.node.name)[:60]
    mounted = Mounted(guest, guest.folder / "lakes" / name, os.environ["POSIXLAKE_BIN"], *more)
    yield mounted
    mounted.close()


@pytest.fixture
def lake(large_guest: Guest, request: pytest.FixtureRequest) -> Iterator[Mounted]:
    """An empty lake, served and mounted."""
    yield from served(large_guest, request)


@pytest.fixture
def frugal_lake(frugal_guest: Guest, request: pytest.FixtureRequest) -> Iterator[Mounted]:
    """The same for a client that writes when it likes; `parametrize` with `indirect` gives the server other arguments."""
    yield from served(frugal_guest, request, "lookupcache=none", getattr(request, "param", "--silence 4"))


@pytest.fixture
def host_server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server on the host, and its port."""
    with subprocess.Popen([example("memory"), "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        yield server, int(line.rsplit(":", 1)[1])
        server.terminate()
        assert "all calls answered" in server.stdout.read()
