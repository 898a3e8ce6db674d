"""A guest for the session, and a server of files in memory that is mounted in it."""

import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from guest import Guest, missing
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


@pytest.fixture
def host_server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server on the host, and its port."""
    with subprocess.Popen([example("memory"), "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        yield server, int(line.rsplit(":", 1)[1])
        server.terminate()
        assert "all calls answered" in server.stdout.read()
