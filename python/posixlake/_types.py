"""Types of columns as ``Field`` spells them, and in SQL."""

from __future__ import annotations

from ._errors import of_kind

_SQL = {
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INT",
    "int": "INT",
    "integer": "INT",
    "int64": "BIGINT",
    "bigint": "BIGINT",
    "long": "BIGINT",
    "uint8": "SMALLINT",
    "uint16": "INT",
    "uint32": "BIGINT",
    "uint64": "DECIMAL(20, 0)",
    "float32": "FLOAT",
    "float": "FLOAT",
    "float64": "DOUBLE",
    "double": "DOUBLE",
    "string": "STRING",
    "utf8": "STRING",
    "text": "STRING",
    "varchar": "STRING",
    "largeutf8": "STRING",
    "boolean": "BOOLEAN",
    "bool": "BOOLEAN",
    "binary": "BINARY",
    "largebinary": "BINARY",
    "date32": "DATE",
    "date64": "DATE",
    "timestamp": "TIMESTAMP_NTZ",
}

#: Names that Delta has no type for: the nearest one holds every value, and the name is kept beside it.
_KEPT = ("uint8", "uint16", "uint32", "uint64", "largeutf8", "largebinary", "date64")


def _parts(text: str, separator: str) -> list[str]:
    """The pieces between separators that are in no brackets."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        if sign in "<(":
            depth += 1
        elif sign in ">)":
            depth -= 1
        elif sign == separator and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    return [part.strip() for part in parts]


def _inner(data_type: str, name: str, brackets: str = "<>") -> str | None:
    head = name + brackets[0]
    if data_type.lower().startswith(head) and data_type.endswith(brackets[1]):
        return data_type[len(head) : -1]
    return None


def to_sql(data_type: str) -> str:
    """A type's name in SQL.

    >>> to_sql("Map<String,List<Int64>>")
    'MAP<STRING, ARRAY<BIGINT>>'
    >>> to_sql("Struct<x:Int32,at:Timestamp>")
    'STRUCT<`x`: INT, `at`: TIMESTAMP_NTZ>'
    >>> to_sql("Decimal128(10,2)")
    'DECIMAL(10, 2)'
    """
    data_type = data_type.strip()
    simple = _SQL.get(data_type.lower())
    if simple is not None:
        return simple
    for decimal in ("decimal128", "decimal256", "decimal"):
        numbers = _inner(data_type, decimal, "()")
        if numbers is not None:
            digits = [part for part in _parts(numbers, ",") if part.isdigit()]
            if len(digits) == 2 and 1 <= int(digits[0]) <= 38 and int(digits[1]) <= int(digits[0]):
                return f"DECIMAL({digits[0]}, {digits[1]})"
            raise of_kind(
                "Schema", f"'{data_type}': a decimal has 1 to 38 digits, and no more of them behind the point"
            )
    item = _inner(data_type, "list")
    if item is not None:
        return f"ARRAY<{to_sql(item)}>"
    entry = _inner(data_type, "map")
    if entry is not None:
        pair = _parts(entry, ",")
        if len(pair) == 2:
            return f"MAP<{to_sql(pair[0])}, {to_sql(pair[1])}>"
    fields = _inner(data_type, "struct")
    if fields is not None:
        columns = [_parts(field, ":") for field in _parts(fields, ",")]
        if all(len(column) == 2 and column[0] for column in columns):
            return "STRUCT<" + ", ".join(f"`{column[0]}`: {to_sql(column[1])}" for column in columns) + ">"
    raise of_kind(
        "Schema",
        f"'{data_type}' is not a type: there are Int8 to Int64, UInt8 to UInt64, Float32, Float64, String, LargeUtf8, "
        "Binary, LargeBinary, Boolean, Date32, Date64, Timestamp, Decimal128(p,s), List<T>, Map<K,V> and Struct<name:T,…>",
    )


def is_kept(data_type: str) -> bool:
    """Whether the name says more than the type that it is stored as.

    >>> is_kept("UInt8"), is_kept("List<UInt8>"), is_kept("Int8")
    (True, True, False)
    """
    return any(kept in data_type.lower() for kept in _KEPT)
