"""Other engines' views of a table, as rows that compare."""

import datetime
import importlib.util
import pathlib

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def plain(value):
    """A value with one spelling for what engines may choose."""
    match value:
        case datetime.datetime():
            return value.astimezone(datetime.timezone.utc) if value.tzinfo else value
        case dict():
            return {key: plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case _:
            return value


def plain_type(column):
    """A column without the types that pyarrow cannot compare."""
    return column.cast(pa.string()) if pa.types.is_string_view(column.type) else column


def rows(table: pa.Table, columns=None):
    """The rows with their columns in the order of their names, sorted by what they look like."""
    found = []
    for row in table.to_pylist():
        found.append([(name, plain(row[name])) for name in sorted(columns or row)])
    return sorted(found, key=repr)


def ours(lake, query: str) -> pa.Table:
    """What posixlake answers, with types, by way of a Parquet file."""
    file = lake.folder.parent / "answer.parquet"
    file.unlink(missing_ok=True)
    lake.sql(f"COPY ({query}) TO '{file}' STORED AS PARQUET")
    return pq.read_table(file)


def duckdb_delta() -> duckdb.DuckDBPyConnection:
    """DuckDB with its Delta extension, from PyPI: nothing is fetched from elsewhere."""
    package = pathlib.Path(importlib.util.find_spec("duckdb_extension_delta").origin).parent
    extension = next(package.glob(f"extensions/v{duckdb.__version__}/delta.duckdb_extension"))
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension}'")
    return connection
