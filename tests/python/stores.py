"""posixlake on a store, as a process, and the fixtures of the tests with stores."""

import atexit
import csv
import io
import os
import pathlib
import subprocess

import pytest

import emulators


class StoreLake:
    """A lake below a folder of a store, reached through a port: the server's own, or a proxy's."""

    def __init__(self, server, folder: str, scratch: pathlib.Path, port=None, **options) -> None:
        self.server, self.port, self.options = server, port, options
        self.url = f"{server.url}/{folder}"
        self.scratch = scratch
        self.binary = os.environ.get("POSIXLAKE_BIN", "posixlake")

    def command(self, *statements: str) -> list[str]:
        flags = [flag for statement in statements for flag in ("-c", statement)]
        return [self.binary, "--quiet", "--format", "csv", "--lake", self.url, *self.settings(), *flags]

    def settings(self) -> list[str]:
        """The server's settings on the command line, which is how a lake is opened that lies on a store."""
        settings = {**self.server.settings(self.port or self.server.port), **self.options}
        return [flag for name, value in settings.items() for flag in ("--option", f"{name}={value}")]

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_", "GOOGLE_"))}
        return {**clean, "HOME": str(self.scratch)}

    def start(self, *statements: str) -> subprocess.Popen:
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command(*statements), stdout=pipe, stderr=pipe, text=True, env=self.environment())

    def run(self, *statements: str) -> subprocess.CompletedProcess[str]:
        command = self.command(*statements)
        return subprocess.run(command, capture_output=True, text=True, env=self.environment(), timeout=120)

    def output(self, *statements: str) -> str:
        answer = self.run(*statements)
        assert answer.returncode == 0, f"{statements}: {answer.stderr}"
        return answer.stdout

    def sql(self, *statements: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.output(*statements))))


RUNNING: dict[type, emulators.Emulator] = {}


def parametrized(servers):
    """A fixture of running servers, each started once for all tests: some of them take ten seconds."""

    @pytest.fixture(scope="module", params=servers, ids=[server.name for server in servers])
    def server(request, tmp_path_factory):
        if request.param not in RUNNING:
            RUNNING[request.param] = request.param(tmp_path_factory.mktemp(request.param.name))
            atexit.register(RUNNING[request.param].stop)
        return RUNNING[request.param]

    return server


__all__ = ["StoreLake", "emulators", "parametrized"]
