"""What all tests need: the program, and a lake in a folder of its own."""

import csv
import io
import os
import pathlib
import subprocess

import pytest


class Lake:
    """A lake, and the program run on it as a process."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.binary = os.environ.get("POSIXLAKE_BIN", "posixlake")

    def command(self, *statements: str) -> list[str]:
        flags = [flag for statement in statements for flag in ("-c", statement)]
        return [self.binary, "--quiet", "--format", "csv", "--lake", str(self.folder), *flags]

    def run(self, *statements: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*statements), capture_output=True, text=True)

    def sql(self, *statements: str) -> list[dict[str, str]]:
        """The rows of the statements, which must succeed."""
        answer = self.run(*statements)
        assert answer.returncode == 0, f"{statements}: {answer.stderr}"
        return list(csv.DictReader(io.StringIO(answer.stdout)))

    def path(self, table: str) -> str:
        return str(self.folder / table)


@pytest.fixture
def lake(tmp_path: pathlib.Path) -> Lake:
    return Lake(tmp_path / "lake")
