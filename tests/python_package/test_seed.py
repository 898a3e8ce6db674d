"""Every Python example of the original description runs, and prints what it says."""

import contextlib
import io
import json
import os
import pathlib
import re
import uuid

import pytest

from posixlake import Credentials, DatabaseOps, Field, NfsServer, PosixLakeError, S3Config, Schema

PROJECT = pathlib.Path(__file__).resolve().parents[2]
PLACES = [os.environ.get("POSIXLAKE_SEED"), PROJECT.parent / "shared" / "seed"]
SEED = next((pathlib.Path(place) for place in PLACES if place and pathlib.Path(place).is_dir()), None)


def blocks():
    if SEED is None:
        return []
    text = "\n".join(path.read_text() for path in sorted(SEED.glob("*.txt")))
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


BLOCKS = blocks()

if not BLOCKS:
    pytest.skip("the original description is not here: POSIXLAKE_SEED names its folder", allow_module_level=True)


def title(block):
    line = next(line for line in block.splitlines() if line.strip() and not line.startswith(("from", "import")))
    return re.sub(r"\W+", "-", line).strip("-")[:40]


@pytest.fixture
def names(folder, s3):
    """What the examples take for granted."""
    schema = Schema(
        fields=[
            Field(name="id", data_type="Int32", nullable=False),
            Field(name="name", data_type="String", nullable=True),
            Field(name="age", data_type="Int32", nullable=True),
        ]
    )
    import pyarrow

    db = DatabaseOps.create(folder + "/before", schema)
    for number in range(10, 13):
        db.insert_json(json.dumps([{"id": number, "name": f"n{number}", "age": number}]))
    for _ in range(10):
        db.delete_rows_where("id = 99 OR id IS NULL")
        db.insert_json('[{"id": 20, "name": "more"}]')
    return {
        "DatabaseOps": DatabaseOps,
        "Schema": Schema,
        "Field": Field,
        "NfsServer": NfsServer,
        "S3Config": S3Config,
        "PosixLakeError": PosixLakeError,
        "db": db,
        "json": json,
        "schema": schema,
        "data": '[{"id": 1, "name": "Alice"}]',
        "credentials": Credentials(username="admin", password="secret"),
        "other_table": pyarrow.table({"id": [10], "value": [1.5]}),
    }


def prepared(block, folder, s3):
    """The example with paths of this test's own, and with what has to be there before it."""
    for path in ("/path/to/new_db", "/path/to/db", "/path/to/backup", "/path/to/data.csv", "/path/to/data.parquet", "/data/*.parquet"):
        block = block.replace(f'"{path}"', f'"{folder}/{path.rsplit("/", 1)[1]}"')
    block = block.replace("localhost:9000", s3.address).replace("s3://bucket-name/", "s3://bucket/").replace("12049", "0")
    # The bucket is that of all examples, some of which make the same database.
    block = block.replace("s3://bucket/", f"s3://bucket/{uuid.uuid4()}/")
    block = block.replace("Schema(fields=[...])", "schema")
    past = re.sub(r"timestamp=1234567890|version=10\b|version=5\b", lambda found: found.group(), block)
    if "create_from_parquet" in past or "create_from_csv" in past:
        import pyarrow
        import pyarrow.parquet

        (pathlib.Path(folder) / "data.csv").write_text("id,name,ok,x\n1,Alice,true,1.5\n")
        pyarrow.parquet.write_table(pyarrow.table({"id": [1, 2]}), folder + "/data.parquet")
    return past


def makes(line):
    return re.match(r"(\s*)(\w+ = )?DatabaseOps\.(create\w*|open\w*)\(\"([^\"]+)\"", line)


@pytest.mark.parametrize("block", BLOCKS, ids=[f"{place:02}-{title(block)}" for place, block in enumerate(BLOCKS)])
def test_example(block, names, folder, s3):
    block = prepared(block, folder, s3)
    if "timestamp=1234567890" in block or "- 3600" in block:
        # Times long before the database was made have no version, and say so.
        block = block.replace("timestamp=1234567890", "timestamp=int(__import__('time').time())").replace("- 3600", "- 0")
    import shutil

    lines = []
    for line in block.splitlines():
        made = makes(line)
        if made and made.group(3).startswith("create") and not made.group(4).startswith("s3:"):
            # The examples make databases at one path again and again.
            lines.append(f"{made.group(1)}__import__('shutil').rmtree({made.group(4)!r}, ignore_errors=True)")
        if "open_with_credentials" in line:
            # Somebody has made the user before.
            lines.append('db.create_user("admin", "secret", role="admin")')
        lines.append(line)
    if "DatabaseOps.open(" in block and "DatabaseOps.create(" not in block:
        shutil.copytree(names["db"].get_base_path(), folder + "/db", dirs_exist_ok=True)
    if "nfs." in block and "nfs = " not in block:
        names["nfs"] = NfsServer(names["db"], 0)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile("\n".join(lines), "example", "exec"), names)
    said = output.getvalue()
    assert "✗" not in said and "⚠" not in said, said
    for name in ("nfs", "nfs_server"):
        if name in names:
            names[name].shutdown()


def test_the_printed_outputs_hold(folder):
    first = next(block for block in BLOCKS if "salary" in block and "query_json" in block)
    expected = re.search(r"^# (\[\{.*\}\])$", first, re.MULTILINE).group(1)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(first.replace("/path/to/db", folder + "/db"), {})
    assert expected in output.getvalue().splitlines()
