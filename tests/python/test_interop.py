"""Other engines read what posixlake wrote, at every version and with its statistics; posixlake reads and changes theirs."""

import datetime
import decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from engines import duckdb_delta, ours, plain, plain_type, rows

LONG = "long " * 30

# Every kind of statement that changes a table, and every type.
STATEMENTS = [
    "CREATE TABLE t (id BIGINT NOT NULL, name STRING, v DOUBLE, day DATE, price DECIMAL(10,2), at TIMESTAMP, local TIMESTAMP_NTZ, "
    "ok BOOLEAN, small SMALLINT, tiny TINYINT, n INT, f FLOAT, raw BINARY, tags ARRAY<STRING>, place STRUCT<x: DOUBLE, y: DOUBLE>, "
    "scores MAP<STRING, INT>, twice DOUBLE GENERATED ALWAYS AS (v * 2), PRIMARY KEY (id), CONSTRAINT positive CHECK (v > 0)) "
    "PARTITIONED BY (day) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
    "INSERT INTO t (id, name, v, day, price, at, local, ok, small, tiny, n, f, raw, tags, place, scores) VALUES "
    "(1, 'a', 1.5, '2026-01-01', 10.25, '2026-01-01T10:00:00Z', '2026-01-01T10:00:00', true, 1, 2, 3, 0.5, X'00FF', ['x', 'y'], "
    "named_struct('x', 1.0, 'y', 2.0), MAP {'one': 1, 'two': 2}), "
    "(2, NULL, 2.5, '2026-01-02', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    "INSERT INTO t BY NAME SELECT 3 AS id, 'ü''\"\n\\' AS name, 3 AS v, -1.00 AS price, '1999-12-31T23:59:59.123456Z' AS at",
    f"INSERT INTO t BY NAME SELECT 4 AS id, 4.0 AS v, '{LONG}' AS name, DATE '2026-01-02' AS day",
    "UPDATE t SET v = v + 1, name = coalesce(name, 'none') WHERE id >= 2",
    "MERGE INTO t USING (SELECT 1 AS id, 9.0 AS v UNION ALL SELECT 10, 10.0) AS s ON t.id = s.id "
    "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)",
    "DELETE FROM t WHERE id = 3",
    "ALTER TABLE t ADD COLUMN note STRING COMMENT 'added later'",
    "INSERT WITH SCHEMA EVOLUTION INTO t BY NAME SELECT 5 AS id, 5.0 AS v, 'said' AS note, 7 AS extra",
    "OPTIMIZE t",
    "INSERT OVERWRITE t PARTITION (day = '2026-01-02') (id, v) SELECT 20, 20.0",
    "INSERT INTO t REPLACE WHERE id = 10 (id, v) VALUES (10, 11.0)",
    "OPTIMIZE t ZORDER BY (id, v)",
    "INSERT OVERWRITE t (id, v, day) VALUES (100, 1, '2026-02-01'), (101, 2, NULL)",
    "RESTORE TABLE t TO VERSION AS OF 4",
    "TRUNCATE TABLE t",
    "CREATE OR REPLACE TABLE t AS SELECT value AS id, CAST(value AS STRING) AS name FROM generate_series(1, 1000) AS g(value)",
]


@pytest.fixture
def changed(lake):
    """A lake with a table `t` that every statement has changed."""
    for statement in STATEMENTS:
        lake.sql(statement)
    return lake


def test_deltalake_reads_every_version(changed):
    latest = DeltaTable(changed.path("t")).version()
    assert latest == len(STATEMENTS) - 1, "one statement is one version"
    for version in range(latest + 1):
        theirs = DeltaTable(changed.path("t"), version=version).to_pyarrow_table()
        mine = ours(changed, f"SELECT * FROM t VERSION AS OF {version}")
        assert sorted(theirs.column_names) == sorted(mine.column_names), version
        assert rows(theirs) == rows(mine), version


def test_values_of_every_type_are_kept(lake):
    for statement in STATEMENTS[:3]:
        lake.sql(statement)
    one, two, three = DeltaTable(lake.path("t")).to_pyarrow_table().sort_by("id").to_pylist()
    utc = datetime.timezone.utc
    assert plain(one) == {
        "id": 1,
        "name": "a",
        "v": 1.5,
        "day": datetime.date(2026, 1, 1),
        "price": decimal.Decimal("10.25"),
        "at": datetime.datetime(2026, 1, 1, 10, tzinfo=utc),
        "local": datetime.datetime(2026, 1, 1, 10),
        "ok": True,
        "small": 1,
        "tiny": 2,
        "n": 3,
        "f": 0.5,
        "raw": b"\x00\xff",
        "tags": ["x", "y"],
        "place": {"x": 1.0, "y": 2.0},
        "scores": [["one", 1], ["two", 2]],
        "twice": 3.0,
    }
    assert {name for name, value in two.items() if value is not None} == {"id", "v", "day", "twice"}
    assert three["name"] == "ü'\"\n\\"
    assert three["at"].astimezone(utc) == datetime.datetime(1999, 12, 31, 23, 59, 59, 123456, tzinfo=utc)


def statistics_hold(lake, table):
    """Compares the statistics in the log with those of the files' rows."""
    delta = DeltaTable(lake.path(table))
    actions = pa.table(delta.get_add_actions(flatten=True)).to_pylist()
    fragments = {fragment.path.rsplit("/", 1)[-1]: fragment for fragment in delta.to_pyarrow_dataset().get_fragments()}
    compared = 0
    for action in actions:
        data = fragments[action["path"].rsplit("/", 1)[-1]].to_table()
        assert action["num_records"] == data.num_rows
        for column in data.column_names:
            if f"null_count.{column}" in action and action[f"null_count.{column}"] is not None:
                assert action[f"null_count.{column}"] == data[column].null_count, column
            if action.get(f"min.{column}") is None:
                continue
            extremes = pc.min_max(plain_type(data[column])).as_py()
            low, high = plain(action[f"min.{column}"]), plain(action[f"max.{column}"])
            if isinstance(low, datetime.datetime):
                # Delta cuts times to milliseconds, and readers know.
                extremes = {end: at.replace(microsecond=at.microsecond // 1000 * 1000) for end, at in extremes.items()}
            if isinstance(low, str) and max(map(len, extremes.values())) > 32:
                assert low <= extremes["min"] and high >= extremes["max"], column
            else:
                assert {"min": low, "max": high} == plain(extremes), column
            compared += 1
    return compared


@pytest.mark.parametrize("count", [5, 10, 13, len(STATEMENTS)])
def test_statistics_are_those_of_the_files(lake, count):
    for statement in STATEMENTS[:count]:
        lake.sql(statement)
    assert statistics_hold(lake, "t") >= 2


def test_deltalake_reads_the_change_data(lake):
    for statement in STATEMENTS[:7]:
        lake.sql(statement)
    columns = ["id", "v", "_change_type", "_commit_version"]
    theirs = pa.table(DeltaTable(lake.path("t")).load_cdf(starting_version=0).read_all())
    mine = ours(lake, f"SELECT {', '.join(columns)} FROM table_changes('t', 0)")
    assert rows(theirs, columns) == rows(mine, columns)
    kinds = {row["_change_type"] for row in mine.to_pylist()}
    assert kinds == {"insert", "delete", "update_preimage", "update_postimage"}


def test_duckdb_reads_every_statement(lake):
    connection = duckdb_delta()
    for statement in STATEMENTS:
        lake.sql(statement)
        query = "SELECT id, {name} FROM {table} ORDER BY id"
        found = connection.execute(query.format(name="name", table=f"delta_scan('{lake.path('t')}')")).fetchall()
        wanted = ours(lake, query.format(name="name", table="t")).to_pylist()
        assert found == [(row["id"], row["name"]) for row in wanted], statement


def test_duckdb_reads_column_mapping(lake):
    lake.sql(
        "CREATE TABLE m (id BIGINT, `odd, name` STRING, `at {}` STRUCT<`x y`: INT>) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
        "INSERT INTO m VALUES (1, 'x', named_struct('x y', 5)), (2, 'y', named_struct('x y', 6))",
        "DELETE FROM m WHERE id = 1",
    )
    assert lake.sql("SELECT `odd, name` AS n FROM m") == [{"n": "y"}]
    found = duckdb_delta().execute(f"SELECT * FROM delta_scan('{lake.path('m')}')").fetchall()
    assert found == [(2, "y", {"x y": 6})]


def test_their_tables_are_read_and_changed(lake):
    lake.folder.mkdir()
    path = lake.path("theirs")
    data = pa.table({"id": [1, 2, 3], "k": ["a", "b", "b"], "v": [1.0, None, 3.0]})
    write_deltalake(path, data, partition_by=["k"], configuration={"delta.enableChangeDataFeed": "true"})
    DeltaTable(path).alter.add_constraint({"known": "id > 0"})
    assert rows(ours(lake, "SELECT * FROM theirs")) == rows(data)
    lake.sql(
        "INSERT INTO theirs VALUES (4, 'c', 4)",
        "UPDATE theirs SET v = 0 WHERE v IS NULL",
        "DELETE FROM theirs WHERE id = 3",
        "OPTIMIZE theirs",
        "ALTER TABLE theirs ADD COLUMN more STRING",
    )
    refused = lake.run("INSERT INTO theirs VALUES (-1, 'c', 4, 'x')")
    assert refused.returncode == 6 and "known" in refused.stderr
    found = DeltaTable(path).to_pyarrow_table().sort_by("id").to_pydict()
    assert found == {"id": [1, 2, 4], "k": ["a", "b", "c"], "v": [1.0, 0.0, 4.0], "more": [None, None, None]}
    assert statistics_hold(lake, "theirs") >= 2


def test_both_take_turns_on_one_table(lake):
    lake.sql("CREATE TABLE t (id BIGINT, name STRING)", "INSERT INTO t VALUES (1, 'ours')")
    path = lake.path("t")
    write_deltalake(path, pa.table({"id": [2], "name": ["theirs"]}), mode="append")
    lake.sql("UPDATE t SET name = upper(name)")
    DeltaTable(path).delete("id = 1")
    lake.sql("MERGE INTO t USING (SELECT 3 AS id, 'again' AS name) AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *")
    DeltaTable(path).optimize.compact()
    DeltaTable(path).create_checkpoint()
    lake.sql("INSERT INTO t VALUES (4, 'last')")
    wanted = [{"id": "2", "name": "THEIRS"}, {"id": "3", "name": "again"}, {"id": "4", "name": "last"}]
    assert lake.sql("SELECT * FROM t ORDER BY id") == wanted
    assert DeltaTable(path).to_pyarrow_table().sort_by("id")["id"].to_pylist() == [2, 3, 4]
    operations = [entry["operation"] for entry in DeltaTable(path).history()]
    assert operations == [row["operation"] for row in lake.sql("SELECT operation FROM t$history ORDER BY version DESC")]
