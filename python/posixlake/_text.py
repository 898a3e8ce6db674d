"""SQL as text: names and values."""

from __future__ import annotations

import datetime
import decimal
import re
import string
from collections.abc import Mapping


def name(text: str) -> str:
    """A name in quotes.

    >>> name("a`b")
    '`a``b`'
    """
    return "`" + text.replace("`", "``") + "`"


def literal(value: object) -> str:
    """A value as SQL spells it.

    >>> literal("it's"), literal(None), literal(1.5), literal(True)
    ("'it''s'", 'NULL', '1.5', 'TRUE')
    """
    if hasattr(value, "as_py"):
        value = value.as_py()
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return repr(value) if value == value and abs(value) != float("inf") else f"CAST('{value}' AS DOUBLE)"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, decimal.Decimal):
        digits = len(value.as_tuple().digits)
        exponent = value.as_tuple().exponent
        scale = max(0, -exponent) if isinstance(exponent, int) else 0
        return f"CAST('{value:f}' AS DECIMAL({max(digits, scale + 1)}, {scale}))"
    if isinstance(value, datetime.datetime):
        return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
    if isinstance(value, datetime.date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"X'{bytes(value).hex()}'"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    raise TypeError(f"a value of type {type(value).__name__} has no form in SQL")


_PIECES = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | --[^\n]* | /\*.*?\*/ | \$[A-Za-z_]\w* | \$ | [^'"`$/-]+ | .""",
    re.VERBOSE | re.DOTALL,
)


def substituted(sql: str, values: Mapping[str, str]) -> str:
    """The text with ``$name`` replaced outside of quotes and comments.

    >>> substituted("SELECT '$a', $a", {"a": "1"})
    "SELECT '$a', 1"
    """

    def piece(match: re.Match[str]) -> str:
        text = match.group()
        return values.get(text[1:], text) if text.startswith("$") else text

    return _PIECES.sub(piece, sql)


_WORD = re.compile(r"[A-Za-z_]\w*")


def words(sql: str) -> set[str]:
    """The words of a statement outside of texts and comments: among them are the tables that it names.

    >>> sorted(words("SELECT 'no' FROM df -- nor this"))
    ['FROM', 'SELECT', 'df']
    """
    found: set[str] = set()
    for match in _PIECES.finditer(sql):
        text = match.group()
        if text[0] in "\"`":
            found.add(text[1:-1])
        elif text[0] != "'" and not text.startswith(("--", "/*")):
            found.update(_WORD.findall(text))
    return found


def is_plain(text: str) -> bool:
    """Whether a name needs no quotes."""
    return bool(text) and text[0] not in string.digits and all(sign.isalnum() or sign == "_" for sign in text)
