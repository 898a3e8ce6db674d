"""The example on real data comes to the figures that it should."""

import os
import pathlib
import subprocess
import sys

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


def test_nycflights():
    binary = os.environ.get("POSIXLAKE_BIN", "posixlake")
    answer = subprocess.run([sys.executable, EXAMPLES / "nycflights.py", binary], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
