"""Changes without deletion vectors: files are made anew of their own parts, and other engines read them."""

import json

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from engines import ours, rows

ROWS = 100_000


def table_of(count):
    ids = range(count)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "small": pa.array([None if id % 11 == 0 else id % 100 for id in ids], pa.int32()),
            "text": pa.array([None if id % 13 == 0 else f"text {id * 7919 % 1000}" for id in ids]),
            "value": pa.array([id / 3 for id in ids], pa.float64()),
            "flag": pa.array([id % 2 == 0 for id in ids]),
            "day": pa.array([id % 1000 for id in ids], pa.date32()),
            "exact": pc.cast(pa.array(ids, pa.int64()), pa.decimal128(20, 0)),
            "list": pa.array([list(range(id % 3)) for id in ids], pa.list_(pa.int64())),
            "nested": pa.array([{"a": id, "b": f"b{id % 5}"} for id in ids]),
        }
    )


def added(lake, version):
    log = lake.folder / "t" / "_delta_log" / f"{version:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    return [action["add"] for action in actions if "add" in action]


WRITERS = {
    "deltalake": {},
    "small pages": {"data_page_size": 2000, "write_batch_size": 100, "row_group_size": 30_000},
    "no index of pages": {"write_page_index": False, "row_group_size": 30_000},
    "version 2": {"data_page_version": "2.0", "write_page_index": True, "compression": "zstd"},
}


def write(lake, data, writer):
    """The table in one file, as pyarrow writes it with these settings."""
    write_deltalake(lake.path("t"), data)
    settings = WRITERS[writer]
    if settings:
        [file] = DeltaTable(lake.path("t")).file_uris()
        pq.write_table(data, file, **settings)
        # The log has the size of the file that stood there.
        log = lake.folder / "t" / "_delta_log" / f"{0:020}.json"
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        for line in lines:
            if "add" in line:
                line["add"]["size"] = (lake.folder / "t" / line["add"]["path"]).stat().st_size
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("writer", WRITERS)
def test_other_engines_read_files_that_were_made_anew(lake, writer):
    data = table_of(ROWS)
    write(lake, data, writer)
    lake.sql(
        "DELETE FROM t WHERE id = 50000",
        "UPDATE t SET value = -1 WHERE id IN (7, 99999)",
        "DELETE FROM t WHERE id BETWEEN 20000 AND 45000",
        "MERGE INTO t USING (VALUES (3, 'm'), (200000, 'n')) AS s (id, text) ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET text = s.text WHEN NOT MATCHED THEN INSERT (id, text) VALUES (s.id, s.text)",
        "DELETE FROM t WHERE id = 0",
    )
    expected = []
    for row in data.to_pylist():
        if row["id"] in (0, 50000) or 20000 <= row["id"] <= 45000:
            continue
        if row["id"] in (7, 99999):
            row["value"] = -1.0
        if row["id"] == 3:
            row["text"] = "m"
        expected.append(row)
    expected.append(dict.fromkeys(data.column_names) | {"id": 200000, "text": "n"})
    expected = rows(pa.Table.from_pylist(expected, schema=data.schema))
    table = DeltaTable(lake.path("t"))
    assert rows(table.to_pyarrow_table()) == expected
    assert rows(ours(lake, "SELECT * FROM t")) == expected
    files = table.file_uris()
    assert rows(pa.concat_tables(pq.read_table(file) for file in files)) == expected
    found = duckdb.sql(f"SELECT * FROM read_parquet({files!r})").to_arrow_table()
    assert rows(found, data.column_names) == expected
    # Rows are found by what the files say of their pages.
    for query in ("id = 77777", "id BETWEEN 45001 AND 45003", "day = DATE '1970-02-01'", "small IS NULL AND id < 40"):
        wanted = rows(table.to_pyarrow_table().filter(pc.field("id").isin(ids_of(expected, query))))
        assert rows(ours(lake, f"SELECT * FROM t WHERE {query}")) == wanted
        found = duckdb.sql(f"SELECT * FROM read_parquet({files!r}) WHERE {query}").to_arrow_table()
        assert rows(found, data.column_names) == wanted


def ids_of(expected, query):
    import datetime

    tests = {
        "id = 77777": lambda row: row["id"] == 77777,
        "id BETWEEN 45001 AND 45003": lambda row: 45001 <= row["id"] <= 45003,
        "day = DATE '1970-02-01'": lambda row: row["day"] == datetime.date(1970, 2, 1),
        "small IS NULL AND id < 40": lambda row: row["small"] is None and row["id"] < 40,
    }
    return [row["id"] for row in map(dict, expected) if tests[query](row)]


def test_statistics_of_a_file_made_anew_are_those_of_its_rows(lake):
    write_deltalake(lake.path("t"), table_of(ROWS))
    lake.sql("DELETE FROM t WHERE id = 0 OR id = 99999 OR small = 99")
    [add] = added(lake, 1)
    statistics = json.loads(add["stats"])
    left = pq.read_table(lake.folder / "t" / add["path"])
    assert statistics["numRecords"] == left.num_rows
    assert add["size"] == (lake.folder / "t" / add["path"]).stat().st_size
    for column in ("id", "small", "value"):
        bounds = pc.min_max(left[column]).as_py()
        assert statistics["minValues"][column] == bounds["min"]
        assert statistics["maxValues"][column] == bounds["max"]
    for column in ("id", "small", "text", "value", "day", "exact"):
        assert statistics["nullCount"][column] == left[column].null_count
    assert lake.sql("SELECT min(id) AS a, max(id) AS b, max(small) AS c FROM t") == [{"a": "1", "b": "99998", "c": "98"}]


def test_a_column_with_nan_has_no_bounds(lake):
    lake.sql(
        "CREATE TABLE t (id INT, d DOUBLE, s STRUCT<x DOUBLE, y DOUBLE>)",
        "INSERT INTO t VALUES (1, 1, named_struct('x', CAST('NaN' AS DOUBLE), 'y', 1)), "
        "(2, CAST('NaN' AS DOUBLE), named_struct('x', 2.0, 'y', 2.0)), (3, 3, NULL)",
        "DELETE FROM t WHERE id = 1",
    )
    for version in (1, 2):
        [add] = added(lake, version)
        statistics = json.loads(add["stats"])
        assert "d" not in statistics["minValues"] and "d" not in statistics["maxValues"]
        assert "id" in statistics["minValues"]
        assert "x" not in statistics["minValues"].get("s", {})
    assert DeltaTable(lake.path("t")).to_pyarrow_table().num_rows == 2
