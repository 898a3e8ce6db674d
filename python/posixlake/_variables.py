"""Variables of the caller as tables of its statements."""

from __future__ import annotations

import sys
from types import FrameType
from typing import TYPE_CHECKING

from . import _text

if TYPE_CHECKING:
    from ._internal import Engine


def is_rows(value: object) -> bool:
    """Whether an object gives rows by Arrow's PyCapsule interface."""
    return not isinstance(value, type) and hasattr(value, "__arrow_c_stream__")


def caller() -> FrameType | None:
    """The innermost frame that is not of this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] == "posixlake":
        frame = frame.f_back
    return frame


def tables_of(sql: str, engine: Engine, frame: FrameType | None) -> dict[str, object]:
    """What the statement may mean by its words among the caller's variables. A table of the lake goes before a variable."""
    if frame is None:
        return {}
    found: dict[str, object] = {}
    for word in _text.words(sql):
        value = frame.f_locals.get(word, frame.f_globals.get(word))
        if value is not None and is_rows(value) and not engine.has_table(word):
            found[word] = value
    return found
