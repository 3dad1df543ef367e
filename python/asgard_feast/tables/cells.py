"""Finding the cells of a file that cannot be taken, and saying so."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from asgard_feast.errors import BridgeError, Issue

MAX_SHOWN = 100


def first_bad(values: pa.Array, convert: Callable[[pa.Array], pa.Array]) -> int:
    """The index of the first value that `convert` raises ArrowInvalid for, found by halving: there must be one."""
    start, length = 0, len(values)
    while length > 1:
        half = length // 2
        try:
            convert(values.slice(start, half))
            start, length = start + half, length - half
        except pa.ArrowInvalid:
            length = half
    return start


def cell_issue(row: int, column: str, message: str) -> Issue:
    """What is wrong with one cell. Rows count from 1; the first is the one below the header."""
    return {"path": [row, column], "message": f"row {row}, column {shown(column)}: {message}", "type": "value_error"}


def column_issue(column: str, message: str) -> Issue:
    """What is wrong with a column."""
    return {"path": ["columns", column], "message": f"column {shown(column)}: {message}", "type": "value_error"}


def refused(issues: list[Issue]) -> BridgeError:
    """The refusal of a file."""
    return BridgeError("INVALID_INPUT", "; ".join(issue["message"] for issue in issues[:3]), issues)


def shown(value: object) -> str:
    """A value as messages show it, in quotes if it is a text."""
    text = value if isinstance(value, str) else str(value)
    if len(text) > MAX_SHOWN:
        text = f"{text[:MAX_SHOWN]}…"
    return f'"{text}"' if isinstance(value, str) else text
