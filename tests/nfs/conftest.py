"""One guest for the session, and a lake mounted in it for each test."""

import os
import pathlib
import shutil

import pytest

from guest import Guest, missing
from mounted import Mounted


def program() -> str:
    """The program under test."""
    return os.environ.get("POSIXLAKE_BIN") or shutil.which("posixlake") or pytest.skip("POSIXLAKE_BIN is not set")


@pytest.fixture(scope="session")
def guest(tmp_path_factory):
    reason = missing()
    if reason:
        pytest.skip(f"no kernel client here: {reason}")
    guest = Guest(tmp_path_factory.mktemp("guest"), memory=3000)
    yield guest
    guest.stop()


@pytest.fixture
def lake(guest, request):
    """An empty lake, served and mounted."""
    name = "".join(sign if sign.isalnum() else "-" for sign in request.node.name)[:60]
    folder: pathlib.Path = guest.folder / "lakes" / name
    options = getattr(request, "param", {})
    mounted = Mounted(guest, folder, program(), **options)
    yield mounted
    mounted.close()
