"""Every type that a Field may have comes back by its name, with the values that it holds."""

import json

import pytest

from posixlake import DatabaseOps, Field, PosixLakeError, Schema

TYPES = {
    "Int8": [-128, 127],
    "Int16": [-32768, 32767],
    "Int32": [-(2**31), 2**31 - 1],
    "Int64": [-(2**63), 2**63 - 1],
    "UInt8": [0, 255],
    "UInt16": [0, 65535],
    "UInt32": [0, 2**32 - 1],
    "UInt64": [0, 2**64 - 1],
    "Float32": [0.5, -1.25],
    "Float64": [0.1, 1e300],
    "String": ["", "Jürgen"],
    "LargeUtf8": ["a", "b"],
    "Boolean": [True, False],
    "Date32": ["2026-11-24", "1969-12-31"],
    "Date64": ["2026-11-24", "0001-01-01"],
    "Timestamp": ["2026-11-24T10:00:00.123456", "1969-12-31T23:59:59"],
    "Binary": ["00ff", ""],
    "LargeBinary": ["cafe", "00"],
    "Decimal128(10,2)": [99999999.99, -0.01],
    "Decimal128(38,0)": [10**37, -1],
    "List<Int32>": [[1, None, 2], []],
    "List<UInt8>": [[255], [0]],
    "List<Struct<a:Int32,b:List<String>>>": [[{"a": 1, "b": ["x"]}], []],
    "Map<String,Int64>": [{"a": 1}, {}],
    "Struct<x:Int32,y:Decimal128(4,1)>": [{"x": 1, "y": 2.5}, {"x": None, "y": None}],
}


@pytest.mark.parametrize("data_type", TYPES)
def test_a_type_comes_back(folder, data_type):
    fields = [Field(name="id", data_type="Int32", nullable=False), Field(name="v", data_type=data_type, nullable=True)]
    db = DatabaseOps.create(folder + "/db", Schema(fields=fields))
    rows = [{"id": place, "v": value} for place, value in enumerate([*TYPES[data_type], None])]
    db.insert_json(json.dumps(rows))
    opened = DatabaseOps.open(folder + "/db")
    assert opened.get_schema() == Schema(fields=fields)
    assert json.loads(opened.query_json("SELECT * FROM data ORDER BY id")) == rows


def test_the_largest_number_is_found(folder):
    db = DatabaseOps.create(folder + "/db", Schema(fields=[Field(name="v", data_type="UInt64")]))
    db.insert_json(json.dumps([{"v": 2**64 - 1}, {"v": 1}]))
    assert json.loads(db.query_json(f"SELECT v FROM data WHERE v > {2**63}")) == [{"v": 2**64 - 1}]


@pytest.mark.parametrize("data_type", ["Int128", "Decimal128(50,2)", "Decimal128(4,5)", "List<>", "Map<String>", "Struct<a>", ""])
def test_what_is_no_type_is_refused(folder, data_type):
    with pytest.raises(PosixLakeError.SchemaError, match="is not a type|a decimal has"):
        DatabaseOps.create(folder + "/db", Schema(fields=[Field(name="v", data_type=data_type)]))


def test_a_field_may_be_null_where_nothing_is_said():
    assert Field(name="a", data_type="Int32").nullable
