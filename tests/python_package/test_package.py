"""The package as a whole: types, documentation, version."""

import doctest
import importlib
import pathlib
import pkgutil
import re
import subprocess
import sys

import pytest

import posixlake

PROJECT = pathlib.Path(__file__).resolve().parents[2]
MODULES = [name for _, name, _ in pkgutil.iter_modules(posixlake.__path__) if name != "_internal"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name):
    module = importlib.import_module(f"posixlake.{name}")
    assert doctest.testmod(module).failed == 0


def test_every_public_name_is_documented():
    for name in posixlake.__all__:
        value = getattr(posixlake, name)
        assert value.__doc__, name
        if isinstance(value, type):
            for method, member in vars(value).items():
                if not method.startswith("_") and callable(getattr(value, method)):
                    assert getattr(member, "__doc__", None), f"{name}.{method}"


def test_types_are_strict():
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"], cwd=PROJECT / "python", capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout


def test_the_documentation_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (PROJECT / "docs" / "python.md").read_text()
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/python.md", "exec"), names)


def test_it_is_imported_without_datafusion():
    script = "import sys; sys.modules['datafusion'] = None; sys.modules['pyarrow'] = None; import posixlake; posixlake.DatabaseOps"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_errors_of_both_vocabularies():
    for name in ("IoError", "WalError", "QueryError", "TimeoutError", "AlreadyExists", "Other"):
        kind = getattr(posixlake.PosixLakeError, name)
        assert issubclass(kind, posixlake.PosixLakeError)
        error = kind("what happened")
        assert (str(error), error.message) == ("what happened", "what happened")
        assert repr(error) == f"PosixLakeError.{name}(message='what happened')"


def test_the_notebook_runs(monkeypatch):
    import json

    import matplotlib

    matplotlib.use("Agg")
    notebook = json.loads((PROJECT / "examples" / "history.ipynb").read_text())
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "history.ipynb", "exec"), names)
    matplotlib.pyplot.close("all")
