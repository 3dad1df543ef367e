"""Values of a table as JSON that any reader takes as they are."""

from __future__ import annotations

import base64
import math
from datetime import date, datetime, time
from typing import Any

import pyarrow as pa

_EXACT = 2**53 - 1
"""Larger whole numbers are rounded by readers whose numbers are doubles."""
_LONGEST = 1000
_MOST_ITEMS = 100


def json_rows(rows: pa.Table) -> list[list[Any]]:
    """Each row as a list of its values, in the order of the columns: for people to look at, long values cut short."""
    columns = [column.to_pylist() for column in rows.columns]
    return [[json_value(value) for value in row] for row in zip(*columns, strict=True)]


def json_value(value: Any) -> Any:
    """Times in ISO 8601, bytes in base64, decimals and what JSON has no number for as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return _cut(base64.b64encode(value[:_LONGEST]).decode())
    if isinstance(value, dict):
        return {str(key): json_value(each) for key, each in list(value.items())[:_MOST_ITEMS]}
    if isinstance(value, (list, tuple)):
        return [json_value(each) for each in value[:_MOST_ITEMS]]
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
