"""Changes by key, as ``merge_json`` takes them, as one MERGE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import _text


def flag(column: str) -> str:
    return f"given {column}"


def given_sometimes(changes: Sequence[Mapping[str, Any]], columns: Sequence[str], key: str) -> list[str]:
    """The columns that some updates give, and others leave as they are."""
    updates = [change for change in changes if change["_op"] == "UPDATE"]
    return [
        column
        for column in columns
        if column != key and 0 < sum(column in change for change in updates) < len(updates)
    ]


def merge(table: str, changes: Sequence[Mapping[str, Any]], columns: Sequence[str], key: str) -> str:
    """The statement that applies changes, whose source has them as columns."""
    updates = [change for change in changes if change["_op"] == "UPDATE"]
    at = _text.name
    sql = f"MERGE INTO {table} AS target USING changes AS source ON target.{at(key)} = source.{at(key)}"
    changed = [column for column in columns if column != key and any(column in change for change in updates)]
    if changed:
        sometimes = given_sometimes(changes, columns, key)
        by_keys = [
            f"{at(column)} = source.{at(column)}"
            if column not in sometimes
            else f"{at(column)} = CASE WHEN source.{at(flag(column))} THEN source.{at(column)} ELSE target.{at(column)} END"
            for column in changed
        ]
        sql += f" WHEN MATCHED AND source._op = 'UPDATE' THEN UPDATE SET {', '.join(by_keys)}"
    if any(change["_op"] == "DELETE" for change in changes):
        sql += " WHEN MATCHED AND source._op = 'DELETE' THEN DELETE"
    inserts = [change for change in changes if change["_op"] == "INSERT"]
    if inserts:
        given = [column for column in columns if any(column in change for change in inserts)]
        names = ", ".join(map(at, given))
        values = ", ".join(f"source.{at(column)}" for column in given)
        sql += f" WHEN NOT MATCHED AND source._op = 'INSERT' THEN INSERT ({names}) VALUES ({values})"
    return sql
