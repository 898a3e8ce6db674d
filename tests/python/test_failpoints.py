"""Every statement is stopped, and made to fail, at every place between two steps that outlast the process.

The program itself tells which places a statement passes, so new ones are tested as they come. Only debug builds have them.
"""

import collections
import os
import pathlib
import shutil
import signal
import subprocess

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake

SERIES = "SELECT value AS id, value % 3 AS p, 'row' AS name FROM generate_series({}, {}) AS g(value)"
VECTORS = "'delta.enableDeletionVectors' = 'true'"
CHANGES = "'delta.enableChangeDataFeed' = 'true'"
FACTS = "count(*) AS count, sum(id) AS ids, max(name) AS name"
# Whether each place is tried every time that it is passed first or last, in every way; else some of them are.
THOROUGH = "POSIXLAKE_EVERY_FAILPOINT" in os.environ


def table(*properties):
    settings = f" TBLPROPERTIES ({', '.join(properties)})" if properties else ""
    return [
        f"CREATE TABLE t (id BIGINT, p BIGINT, name STRING) PARTITIONED BY (p){settings}",
        f"INSERT INTO t {SERIES.format(1, 30)}",
        f"INSERT INTO t {SERIES.format(31, 60)}",
    ]


# What is done before, and the statement that meets the failpoints.
STATEMENTS = {
    "create": ([], "CREATE TABLE t (id BIGINT, name STRING)"),
    "create as": ([], f"CREATE TABLE t AS {SERIES.format(1, 10)}"),
    "create in a schema": (["CREATE SCHEMA s"], f"CREATE TABLE s.t AS {SERIES.format(1, 10)}"),
    "replace": (table(), f"CREATE OR REPLACE TABLE t AS {SERIES.format(5, 10)}"),
    "insert": (table(), f"INSERT INTO t {SERIES.format(61, 70)}"),
    "insert and checkpoint": (
        [*table("'delta.checkpointInterval' = '4'"), "DELETE FROM t WHERE id = 5"],
        "INSERT INTO t VALUES (61, 1, 'row')",
    ),
    "insert and checkpoint with sidecars": (
        [*table("'delta.checkpointInterval' = '4'", "'delta.checkpointPolicy' = 'v2'"), "DELETE FROM t WHERE id = 5"],
        "INSERT INTO t VALUES (61, 1, 'row')",
    ),
    "insert and compaction": (
        [*table("'delta.checkpointInterval' = '40'"), *[f"INSERT INTO t VALUES ({n}, 1, 'x')" for n in range(61, 68)]],
        "INSERT INTO t VALUES (68, 1, 'row')",
    ),
    "overwrite": (table(), f"INSERT OVERWRITE t {SERIES.format(5, 10)}"),
    "delete with vectors": (table(VECTORS, CHANGES), "DELETE FROM t WHERE id % 7 = 0"),
    "delete without": (table(CHANGES), "DELETE FROM t WHERE id % 7 = 0"),
    "update with vectors": (table(VECTORS, CHANGES), "UPDATE t SET name = 'zebra' WHERE id % 7 = 0"),
    "update without": (table(), "UPDATE t SET name = 'zebra', p = p + 1 WHERE id % 7 = 0"),
    "merge": (
        table(VECTORS),
        f"MERGE INTO t USING ({SERIES.format(55, 65)}) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = 'zebra' "
        "WHEN NOT MATCHED THEN INSERT *",
    ),
    "optimize": (table(VECTORS), "OPTIMIZE t"),
    "vacuum": (
        [
            *table(VECTORS),
            "UPDATE t SET name = 'old' WHERE id < 20",
            "OPTIMIZE t",
            "REORG TABLE t APPLY (PURGE)",
            "ALTER TABLE t SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 seconds')",
        ],
        "VACUUM t RETAIN 0 HOURS",
    ),
    "restore": ([*table(VECTORS), "DELETE FROM t WHERE id > 10"], "RESTORE TABLE t TO VERSION AS OF 2"),
    "alter": (table(), "ALTER TABLE t ADD COLUMN more INT"),
    "rename": (table(), "ALTER TABLE t RENAME TO u"),
    "drop": (table(), "DROP TABLE t"),
    "shallow clone": (table(VECTORS), "CREATE TABLE u SHALLOW CLONE t"),
    "deep clone": ([*table(VECTORS), "DELETE FROM t WHERE id = 5"], "CREATE TABLE u DEEP CLONE t"),
    "convert": ([], "CONVERT TO DELTA parquet.`{lake}/t`"),
    "checkpoint": ([*table(VECTORS), "DELETE FROM t WHERE id = 5"], "CHECKPOINT t"),
}


class Runner:
    def __init__(self, lake):
        self.lake = lake

    def run(self, *statements, **environment):
        return subprocess.run(
            self.lake.command(*statements), capture_output=True, text=True, env={**os.environ, **environment}
        )

    def tables(self):
        """The folders of the tables, by name."""
        for log in sorted(self.lake.folder.rglob("_delta_log")):
            name = log.parent.relative_to(self.lake.folder)
            hidden = any(part.startswith((".", "_")) for part in name.parts)
            if not hidden and any(len(file.name) == 25 and file.suffix == ".json" for file in log.iterdir()):
                yield str(name), log.parent

    def state(self):
        """What each table holds, by posixlake and by deltalake, which must say the same."""
        tables = dict(self.tables())
        queries = [
            "SELECT concat(CASE table_schema WHEN 'default' THEN '' ELSE concat(table_schema, '/') END, table_name) AS table, "
            "NULL AS count, NULL AS ids, NULL AS name FROM information_schema.tables "
            "WHERE table_catalog = 'lake' AND table_schema NOT IN ('information_schema', 'system')",
            *[f"SELECT '{name}', {FACTS} FROM delta.`{folder}`" for name, folder in tables.items()],
        ]
        answer = self.lake.sql(" UNION ALL ".join(queries))
        mine = {row.pop("table"): row for row in answer if row["count"]}
        assert {row["table"] for row in answer if "table" in row} == set(tables), "those are listed that stand"
        found = {}
        for name, folder in tables.items():
            query = f"SELECT {FACTS} FROM t"
            table = DeltaTable(folder)
            theirs = pa.table(QueryBuilder().register("t", table).execute(query).read_all()).to_pylist()[0]
            assert mine[name] == {key: "" if value is None else str(value) for key, value in theirs.items()}
            found[name] = (*mine[name].values(), [field.name for field in table.schema().fields])
        return found


def prepare(lake, name):
    before, statement = STATEMENTS[name]
    lake.folder.mkdir(parents=True, exist_ok=True)
    if name == "convert":
        source = lake.folder.parent / "source"
        write_deltalake(source, pa.table({"id": [1, 2, 3], "name": ["a", "b", "c"]}))
        (lake.folder / "t").mkdir()
        for file in source.glob("*.parquet"):
            shutil.copy(file, lake.folder / "t")
    if before:
        lake.sql(*before)
    return statement.format(lake=lake.folder)


def fresh(lake, template):
    shutil.rmtree(lake.folder, ignore_errors=True)
    shutil.copytree(template, lake.folder)


def ways(times):
    """At which of the times that a place is passed it is to act, and how."""
    if THOROUGH:
        return sorted({(time, action) for time in (1, times) for action in ("abort", "error")})
    return [(times, "abort"), (1, "error")]


@pytest.mark.parametrize("name", STATEMENTS)
def test_whole_statements_only(lake, name):
    runner = Runner(lake)
    statement = prepare(lake, name)
    template = lake.folder.parent / "template"
    shutil.copytree(lake.folder, template)
    before = runner.state()
    notes = lake.folder.parent / "passed"
    done = runner.run(statement, POSIXLAKE_FAILPOINTS=str(notes))
    assert done.returncode == 0, done.stderr
    after = runner.state()
    if not notes.exists():
        pytest.skip("a build without failpoints")
    passed = collections.Counter(notes.read_text().split())
    assert passed, "there are places"
    for place, times in sorted(passed.items()):
        for time, action in ways(times):
            fresh(lake, template)
            told = f"{place}:{time}={action}"
            answer = runner.run(statement, "SELECT 'acknowledged' AS answer", POSIXLAKE_FAILPOINT=told)
            assert answer.returncode >= 0 or answer.returncode == -signal.SIGABRT, (told, answer)
            assert "internal error" not in answer.stderr, (told, answer.stderr)
            found = runner.state()
            assert found in (before, after), told
            if "acknowledged" in answer.stdout:
                assert found == after, told
            elif action == "error" and name != "vacuum":
                assert found == before, f"{told}: refused, but done: {answer.stderr}"
            if action == "error" and not THOROUGH:
                continue
            # Whatever is left lying about is in nobody's way.
            if found == before:
                again = runner.run(statement)
                assert again.returncode == 0, (told, again.stderr)
                assert runner.state() == after, told
            elif "t" in found:
                assert lake.sql("INSERT INTO t BY NAME SELECT 1000 AS id") == [{"count": "1"}], told
                assert lake.sql("SELECT count(*) AS n FROM t") == [{"n": str(int(found["t"][0]) + 1)}], told


def test_a_commit_whose_answer_was_lost_stands_once(lake):
    lake.sql("CREATE TABLE t (id BIGINT)")
    runner = Runner(lake)
    for place in ("named", "done"):
        answer = runner.run("INSERT INTO t VALUES (1)", POSIXLAKE_FAILPOINT=f"put.commit.{place}=error")
        assert answer.returncode == 0, answer.stderr
    assert lake.sql("SELECT count(*) AS n FROM t") in ([{"n": "2"}],)
    assert DeltaTable(lake.path("t")).version() == 2


def test_a_slow_checkpoint_is_in_nobodys_way(lake):
    lake.sql("CREATE TABLE t (id BIGINT) TBLPROPERTIES ('delta.checkpointInterval' = '2')")
    runner = Runner(lake)
    inserts = [f"INSERT INTO t VALUES ({number})" for number in range(7)]
    answer = runner.run(*inserts, POSIXLAKE_FAILPOINT="put.checkpoint.begin=sleep(1500)")
    assert answer.returncode == 0, answer.stderr
    checkpoints = sorted(file.name for file in pathlib.Path(lake.path("t"), "_delta_log").glob("*.checkpoint.parquet"))
    assert checkpoints[-1].startswith(f"{6:020}")
    assert lake.sql("SELECT count(*) AS n FROM t") == [{"n": "7"}]
