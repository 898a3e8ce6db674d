"""The change data feed: what deltalake reads of it where it can, and what it cannot where the log says enough."""

import json
import pathlib

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from engines import ours, rows

FEED = "'delta.enableChangeDataFeed' = 'true'"
CHANGES = [
    "INSERT INTO t SELECT value, 'k' || value, CAST(value % 3 AS INT) FROM generate_series(1, 30) AS g(value)",
    "INSERT INTO t VALUES (100, NULL, NULL), (101, '', 1)",
    "UPDATE t SET k = 'new' WHERE id % 5 = 0",
    "DELETE FROM t WHERE id % 7 = 0",
    "OPTIMIZE t",
    "MERGE INTO t USING (SELECT value AS id FROM generate_series(25, 35) AS g(value)) AS s ON t.id = s.id "
    "WHEN MATCHED AND t.id % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET k = 'merged', p = 9 "
    "WHEN NOT MATCHED THEN INSERT (id, k, p) VALUES (s.id, 'merged', 0)",
    "DELETE FROM t WHERE p = 2",
    "INSERT OVERWRITE t VALUES (1, 'last', 1)",
]
COLUMNS = ["id", "k", "p", "_change_type", "_commit_version"]


def feed(lake, first=0, last=""):
    range_of = f"{first}, {last}" if last else f"{first}"
    return rows(ours(lake, f"SELECT {', '.join(COLUMNS)} FROM table_changes('t', {range_of})"), COLUMNS)


def create(lake, properties="", layout="PARTITIONED BY (p)"):
    more = f", {properties}" if properties else ""
    lake.sql(f"CREATE TABLE t (id BIGINT, k STRING, p INT) {layout} TBLPROPERTIES ({FEED}{more})", *CHANGES)


def commits(lake):
    return sorted(pathlib.Path(lake.path("t"), "_delta_log").glob("*.json"))


def without_change_files(lake):
    """Takes the files of change data out of the log: what happened then follows from files and deletion vectors."""
    for commit in commits(lake):
        lines = [line for line in commit.read_text().splitlines() if "cdc" not in json.loads(line)]
        commit.write_text("\n".join(lines))


@pytest.mark.parametrize("layout", ["", "PARTITIONED BY (p)"])
def test_deltalake_reads_the_same_changes(lake, layout):
    create(lake, layout=layout)
    table = DeltaTable(lake.path("t"))
    for first, last in [(0, 8), (2, 4), (4, 4)]:
        found = pa.table(table.load_cdf(starting_version=first, ending_version=last).read_all())
        assert feed(lake, first, last) == rows(found, COLUMNS)


@pytest.mark.parametrize("mode", ["name", "id"])
@pytest.mark.parametrize("vectors", ["true", "false"])
def test_mapped_tables_have_the_same_changes(lake, mode, vectors):
    create(lake)
    wanted = feed(lake)
    lake.sql("DROP TABLE t")
    create(lake, f"'delta.columnMapping.mode' = '{mode}', 'delta.enableDeletionVectors' = '{vectors}'")
    assert feed(lake) == wanted
    times = lake.sql("SELECT DISTINCT _commit_timestamp = timestamp AS same FROM t$changes JOIN t$history ON version = _commit_version")
    assert times == [{"same": "true"}]


def net(changes):
    """Rows that came and went, an update being both."""
    kinds = {"update_preimage": "delete", "update_postimage": "insert"}
    found = []
    for change in changes:
        row = dict(change)
        row["_change_type"] = kinds.get(row["_change_type"], row["_change_type"])
        found.append(sorted(row.items()))
    return sorted(found, key=repr)


@pytest.mark.parametrize("mode", ["none", "name"])
def test_deletion_vectors_tell_what_went(lake, mode):
    create(lake, f"'delta.enableDeletionVectors' = 'true', 'delta.columnMapping.mode' = '{mode}'")
    wanted = net(feed(lake))
    without_change_files(lake)
    assert net(feed(lake)) == wanted


def test_a_restored_vector_brings_rows_back(lake):
    create(lake, "'delta.enableDeletionVectors' = 'true'", "")
    lake.sql("RESTORE TABLE t TO VERSION AS OF 2", "DELETE FROM t WHERE id < 10", "DELETE FROM t WHERE id < 12")
    without_change_files(lake)
    latest = DeltaTable(lake.path("t")).version()
    assert [dict(row)["id"] for row in feed(lake, latest)] == [10, 11]
    lake.sql(f"RESTORE TABLE t TO VERSION AS OF {latest - 1}")
    found = feed(lake, latest + 1)
    assert [(dict(row)["id"], dict(row)["_change_type"]) for row in found] == [(10, "insert"), (11, "insert")]


def test_files_written_anew_without_change_data_are_all_their_rows(lake):
    create(lake, "'delta.enableDeletionVectors' = 'false'", "")
    without_change_files(lake)
    found = [dict(row) for row in feed(lake, 4, 4)]
    # As Spark reads it: the old file went, the new one came.
    assert len([row for row in found if row["_change_type"] == "delete"]) > 4
    gone = {row["id"] for row in found if row["_change_type"] == "delete"}
    assert gone - {row["id"] for row in found if row["_change_type"] == "insert"} == {7, 14, 21, 28}


def test_conditions_choose_commits_and_files(lake):
    create(lake)
    lake.sql("CHECKPOINT t")
    commits(lake)[6].write_text("not a commit")
    query = "SELECT count(*) AS n FROM table_changes('t', 1, 7) WHERE _commit_version BETWEEN 3 AND 4 AND _change_type = 'delete'"
    assert lake.sql(query) == [{"n": "4"}]
    assert lake.run("SELECT count(*) FROM table_changes('t', 1, 7)").returncode != 0


def commit_schema(lake, change):
    """Commits another schema, as a writer does that can change more of it."""
    metadata = [json.loads(line) for commit in commits(lake) for line in commit.read_text().splitlines()]
    metadata = [action for action in metadata if "metaData" in action][-1]
    schema = json.loads(metadata["metaData"]["schemaString"])
    change(schema["fields"])
    metadata["metaData"]["schemaString"] = json.dumps(schema)
    version = len(commits(lake))
    path = pathlib.Path(lake.path("t"), "_delta_log", f"{version:020}.json")
    path.write_text("\n".join(map(json.dumps, [{"commitInfo": {"operation": "CHANGE COLUMN"}}, metadata])))


def test_columns_that_came_and_types_that_grew_are_read(lake):
    lake.sql(
        f"CREATE TABLE t (id INT, k STRING) TBLPROPERTIES ({FEED}, 'delta.feature.typeWidening' = 'supported', "
        "'delta.enableDeletionVectors' = 'true')",
        "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        "UPDATE t SET k = 'c' WHERE id = 1",
        "ALTER TABLE t ADD COLUMN n BIGINT",
    )

    def widen(fields):
        fields[0]["type"] = "long"
        fields[0]["metadata"] = {"delta.typeChanges": [{"toType": "long", "fromType": "integer"}]}

    commit_schema(lake, widen)
    lake.sql("INSERT INTO t VALUES (5000000000, 'd', 1)", "DELETE FROM t WHERE id = 2")
    found = lake.sql("SELECT id, k, n, _change_type AS c, _commit_version AS v FROM t$changes ORDER BY v, id, c")
    assert [tuple(row.values()) for row in found] == [
        ("1", "a", "", "insert", "1"),
        ("2", "b", "", "insert", "1"),
        ("1", "c", "", "update_postimage", "2"),
        ("1", "a", "", "update_preimage", "2"),
        ("5000000000", "d", "1", "insert", "5"),
        ("2", "b", "", "delete", "6"),
    ]


@pytest.mark.parametrize("change", ["rename", "drop"])
def test_a_schema_that_cannot_hold_earlier_rows_is_an_error(lake, change):
    lake.sql(
        f"CREATE TABLE t (id BIGINT, k STRING) TBLPROPERTIES ({FEED}, 'delta.columnMapping.mode' = 'name')",
        "INSERT INTO t VALUES (1, 'a')",
    )
    commit_schema(lake, lambda fields: fields.pop() if change == "drop" else fields[1].update(name="l"))
    lake.sql("INSERT INTO t (id) VALUES (2)")
    answer = lake.run("SELECT * FROM t$changes")
    assert answer.returncode != 0 and "version 0" in answer.stderr, answer.stderr
    assert "column k was dropped or renamed" in answer.stderr
    assert [row["k"] for row in lake.sql("SELECT * FROM table_changes('t', 0, 1)")] == ["a"]
    assert [row["id"] for row in lake.sql("SELECT * FROM table_changes('t', 3)")] == ["2"]
    assert [row["id"] for row in lake.sql("SELECT * FROM t$changes WHERE _commit_version >= 2")] == ["2"]
