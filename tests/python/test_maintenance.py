"""OPTIMIZE and VACUUM: other engines read what is left, and nothing is left behind that should not be."""

import json
import os
import pathlib
import shutil
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, QueryBuilder
from engines import duckdb_delta, ours, rows

NO_CHECK = "SET posixlake.vacuum_retention_check = false"


def theirs(lake, columns):
    table = DeltaTable(lake.path("t"))
    return pa.table(QueryBuilder().register("t", table).execute(f"SELECT {columns} FROM t").read_all())


def log(lake, version=None):
    """The actions of a commit, the last one where none is named."""
    commits = sorted(pathlib.Path(lake.path("t"), "_delta_log").glob("*.json"))
    return [json.loads(line) for line in commits[-1 if version is None else version].read_text().splitlines()]


def metrics(lake, statement):
    return json.loads(lake.sql(statement)[-1]["metrics"])


def series(first, last):
    """Rows that take about as many bytes each, whatever a file does to make them few."""
    return (
        "SELECT value AS id, sha256(CAST(value AS STRING)) AS h, CAST(value % 3 AS INT) AS p "
        f"FROM generate_series({first}, {last}) AS g(value)"
    )


COLUMNS = "id BIGINT, h BINARY, p INT"


def sized_table(lake, layout, properties, sizes):
    lake.sql(f"CREATE TABLE t ({COLUMNS}) {layout} TBLPROPERTIES ({properties})")
    first = 1
    statements = []
    for size in sizes:
        statements.append(f"INSERT INTO t {series(first, first + size - 1)}")
        first += size
    lake.sql("SET datafusion.execution.target_partitions = 1", *statements)
    return first - 1


def test_bins_take_files_from_anywhere_and_keep_their_order(lake):
    # A row takes about 45 bytes: large, small, large, small.
    total = sized_table(lake, "", "'delta.targetFileSize' = '100kb'", [1500, 500, 1500, 500, 2500])
    done = metrics(lake, "OPTIMIZE t")
    assert (done["numFilesRemoved"], done["numFilesAdded"]) == (4, 2), done
    assert (done["totalConsideredFiles"], done["totalFilesSkipped"]) == (5, 1)
    actions = log(lake)
    assert all(not action[kind]["dataChange"] for action in actions for kind in ("add", "remove") if kind in action)
    files = [pq.read_table(pathlib.Path(lake.path("t"), action["add"]["path"])) for action in actions if "add" in action]
    assert all(file["id"].to_pylist() == sorted(file["id"].to_pylist()) for file in files)
    assert rows(theirs(lake, "id")) == [[("id", value)] for value in sorted(range(1, total + 1), key=lambda v: repr([("id", v)]))]
    assert metrics(lake, "OPTIMIZE t")["numFilesRemoved"] == 0, "what is done is done"


@pytest.mark.parametrize("mode", ["none", "name", "id"])
def test_optimized_tables_read_the_same(lake, mode):
    rules = "CONSTRAINT positive CHECK (id > 0), twice BIGINT GENERATED ALWAYS AS (id * 2)"
    lake.sql(
        f"CREATE TABLE t ({COLUMNS}, s STRUCT<a: INT, b: ARRAY<STRING>>, {rules}) PARTITIONED BY (p) TBLPROPERTIES "
        f"('delta.columnMapping.mode' = '{mode}', 'delta.enableDeletionVectors' = 'true')",
    )
    for part in range(4):
        lake.sql(
            "INSERT INTO t (id, h, p, s) SELECT id, h, p, named_struct('a', CAST(id AS INT), 'b', "
            f"make_array(CAST(id AS STRING), NULL)) FROM ({series(part * 50 + 1, part * 50 + 50)})"
        )
    lake.sql("DELETE FROM t WHERE id % 7 = 0")
    columns = "id, h, s, twice"
    before = rows(ours(lake, f"SELECT {columns}, p FROM t"))
    done = metrics(lake, "OPTIMIZE t WHERE p > 0")
    assert (done["numFilesRemoved"], done["numFilesAdded"], done["partitionsOptimized"]) == (8, 2, 2), done
    assert rows(ours(lake, f"SELECT {columns}, p FROM t")) == before
    lake.sql("OPTIMIZE t ZORDER BY (id, h)")
    assert rows(ours(lake, f"SELECT {columns}, p FROM t")) == before
    assert rows(theirs(lake, f"{columns}, p")) == before
    found = duckdb_delta().sql(f"SELECT {columns} FROM delta_scan('{lake.path('t')}')").to_arrow_table()
    assert rows(found) == [[pair for pair in row if pair[0] != "p"] for row in before]
    adds = [action["add"] for action in log(lake) if "add" in action]
    assert len(adds) == 3 and all("deletionVector" not in add for add in adds)
    fields = json.loads(next(a["metaData"]["schemaString"] for a in log(lake, 0) if "metaData" in a))["fields"]
    for add in adds:
        schema = pq.read_schema(pathlib.Path(lake.path("t"), add["path"]))
        for field in fields:
            if field["name"] == "p" or mode == "none":
                continue
            found = schema.field(field["metadata"]["delta.columnMapping.physicalName"])
            assert int(found.metadata[b"PARQUET:field_id"]) == field["metadata"]["delta.columnMapping.id"]
    assert lake.run("INSERT INTO t (id, p) VALUES (-1, 0)").returncode != 0
    lake.sql("INSERT INTO t (id, p) VALUES (1000, 0)")
    assert lake.sql("SELECT twice FROM t WHERE id = 1000") == [{"twice": "2000"}]


def test_a_curve_in_little_memory(lake):
    count = 400_000
    lake.sql(
        "CREATE TABLE t (id BIGINT, x INT, y STRING, h BINARY) TBLPROPERTIES ('delta.targetFileSize' = '4mb')",
        "INSERT INTO t SELECT value, CAST(value * 7919 % 100000 AS INT), "
        "'https://example.com/' || lpad(CAST(value * 104729 % 1000003 AS STRING), 7, '0'), sha256(CAST(value AS STRING)) "
        f"FROM generate_series(1, {count}) AS g(value)",
    )
    sums = "SELECT count(*) AS n, sum(id) AS i, sum(x) AS x, count(DISTINCT y) AS y, count(DISTINCT h) AS h FROM t"
    before = lake.sql(sums)
    command = [lake.binary, "--lake", str(lake.folder), "--memory-limit", "60m", "-c", "OPTIMIZE t ZORDER BY (x, y)"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert lake.sql(sums) == before
    files = [json.loads(action["add"]["stats"]) for action in log(lake) if "add" in action]
    assert len(files) >= 4
    # Each column alone leaves files out. How many is up to the sample that the ranks are taken from.
    for column, value in {"x": 50_000, "y": "https://example.com/0500000"}.items():
        hit = [f for f in files if f["minValues"][column] <= value <= f["maxValues"][column]]
        assert len(hit) < len(files), f"{column}: {len(hit)} of {len(files)}"
    assert sum(f["numRecords"] for f in files) == count


def test_a_curve_of_one_column_is_sorted(lake):
    total = sized_table(lake, "PARTITIONED BY (p)", "'delta.targetFileSize' = '40kb'", [2000, 2000])
    lake.sql("INSERT INTO t VALUES (NULL, NULL, 0)", "OPTIMIZE t ZORDER BY (h)")
    adds = [action["add"] for action in log(lake) if "add" in action]
    assert len(adds) > 3, "several files a partition"
    for add in adds:
        values = pq.read_table(pathlib.Path(lake.path("t"), add["path"]))["h"].to_pylist()
        assert values == sorted(values, key=lambda value: (value is not None, value or b""))
    assert lake.sql("SELECT count(*) AS n FROM t") == [{"n": str(total + 1)}]


# VACUUM.


def files_of(lake):
    root = pathlib.Path(lake.path("t"))
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and "_delta_log" not in path.parts}


def touched(lake, name, age=0):
    path = pathlib.Path(lake.path("t"), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"1234")
    stamp = path.stat().st_mtime - age
    os.utime(path, (stamp, stamp))


HOUR = 3600


def test_vacuum_deletes_what_is_unused_and_nothing_else(lake):
    lake.sql(
        "CREATE TABLE t (id BIGINT, _p STRING) PARTITIONED BY (_p) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true', "
        "'delta.enableChangeDataFeed' = 'true')",
        "INSERT INTO t VALUES (1, 'a'), (2, 'a'), (3, 'b/c%20')",
        "DELETE FROM t WHERE id = 1",
        "UPDATE t SET id = 4 WHERE id = 3",
    )
    before = rows(ours(lake, "SELECT * FROM t"))
    live = {action["add"]["path"] for version in (1, 2, 3) for action in log(lake, version) if "add" in action}
    gone = {
        "old.parquet", "_p=a/orphan.parquet", "deep/er/file", "_change_data/lost.parquet", "_p=zz/_p=1/x",
    }
    stay = {"_hidden/x", ".hidden/x", "a/_tmp/x", "a/.tmp/x", "_file", ".file", "_symlink_format_manifest/manifest"}
    young = {"young.parquet", "_p=a/young"}
    for name in gone | stay:
        touched(lake, name, 200 * HOUR)
    for name in young:
        touched(lake, name, 100 * HOUR)
    standing = files_of(lake)
    found = lake.sql("VACUUM t DRY RUN")
    assert {row["path"] for row in found} == gone
    assert {(row["size_in_bytes"], row["modification_time"][:2]) for row in found} == {("4", "20")}
    assert files_of(lake) == standing
    assert lake.sql("VACUUM t LITE") == [{"path": f"file://{lake.path('t')}/", "num_deleted_files": "0", "deleted_bytes": "0"}]
    assert files_of(lake) == standing
    assert lake.sql("VACUUM t")[0]["num_deleted_files"] == str(len(gone))
    assert files_of(lake) == standing - gone
    done = log(lake)[0]["commitInfo"]
    assert (done["operation"], done["operationMetrics"]["numDeletedFiles"]) == ("VACUUM END", str(len(gone)))
    assert rows(ours(lake, "SELECT * FROM t")) == before
    answer = lake.sql(NO_CHECK, "VACUUM t RETAIN 0 HOURS")
    assert int(answer[-1]["deleted_bytes"]) > 8
    left = files_of(lake) - stay
    assert not left & young and not [name for name in left if name.startswith("_change_data")]
    assert len([name for name in left if name.endswith(".parquet")]) == 2
    assert rows(ours(lake, "SELECT * FROM t")) == before
    assert rows(theirs(lake, "id, _p")) == before
    assert live, "there was something to look for"


def test_lite_knows_what_the_log_knows(lake):
    lake.sql(
        "CREATE TABLE t (id BIGINT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
        "INSERT INTO t SELECT value FROM generate_series(1, 100)",
        "DELETE FROM t WHERE id < 10",
        "DELETE FROM t WHERE id < 20",
    )
    touched(lake, "orphan.parquet", 1000 * HOUR)
    assert len(files_of(lake)) == 4
    # The data file, whose first state is gone, lives; and so does the last vector.
    found = [row["path"] for row in lake.sql(NO_CHECK, "VACUUM t LITE RETAIN 0 HOURS DRY RUN")]
    assert len(found) == 1 and found[0].endswith(".bin") and found[0] in files_of(lake)
    lake.sql(NO_CHECK, "VACUUM t LITE RETAIN 0 HOURS")
    assert len(files_of(lake)) == 3
    assert lake.sql("SELECT count(*) AS n FROM t") == [{"n": "81"}]
    lake.sql(NO_CHECK, "VACUUM t RETAIN 0 HOURS")
    assert len(files_of(lake)) == 2
    assert rows(theirs(lake, "id")) == rows(ours(lake, "SELECT id FROM t"))


def test_a_shallow_clone_leaves_its_source_alone(lake):
    lake.sql(
        "CREATE TABLE source (id BIGINT)",
        "INSERT INTO source VALUES (1), (2)",
        "CREATE TABLE t SHALLOW CLONE source",
        "INSERT INTO t VALUES (3)",
        "DELETE FROM t WHERE id = 1",
        NO_CHECK,
        "VACUUM t RETAIN 0 HOURS",
    )
    assert lake.sql("SELECT id FROM t ORDER BY id") == [{"id": "2"}, {"id": "3"}]
    assert lake.sql("SELECT count(*) AS n FROM source") == [{"n": "2"}]


def test_an_absolute_path_in_the_folder_is_needed(lake):
    lake.sql("CREATE TABLE t (id BIGINT)", "INSERT INTO t VALUES (1)")
    commit = pathlib.Path(lake.path("t"), "_delta_log", f"{1:020}.json")
    lines = [json.loads(line) for line in commit.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            line["add"]["path"] = f"file://{lake.path('t')}/{line['add']['path']}"
    commit.write_text("\n".join(json.dumps(line) for line in lines))
    lake.sql(NO_CHECK, "VACUUM t RETAIN 0 HOURS")
    assert lake.sql("SELECT id FROM t") == [{"id": "1"}]


def test_a_copied_table_keeps_what_its_recent_versions_need(lake):
    lake.sql("CREATE TABLE t (id BIGINT)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "TRUNCATE TABLE t")
    for path in pathlib.Path(lake.path("t")).glob("*.parquet"):
        os.utime(path, (1, 1))
    lake.sql("VACUUM t")
    assert lake.sql("SELECT count(id) AS n FROM t VERSION AS OF 2") == [{"n": "2"}]
    shutil.rmtree(lake.path("t"))
