"""A table and its rows as JSON."""

from __future__ import annotations

import base64
import math
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table.snapshots import Snapshot

MAX_TEXT = 1000
"""Of a longer text in a preview the beginning is shown."""
MAX_ITEMS = 100
_MAX_SAFE = 2**53 - 1


def json_value(value: Any) -> Any:
    """A value of a row.

    A whole number that is beyond 2^53 becomes a text, as JavaScript would round it; so does a decimal, `NaN` and an
    infinity. Times are ISO 8601, bytes base64.
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= _MAX_SAFE else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, bytes):
        return base64.b64encode(value[:MAX_TEXT]).decode()
    if isinstance(value, dict):
        return {str(key): json_value(each) for key, each in list(value.items())[:MAX_ITEMS]}
    if isinstance(value, (list, tuple)):
        return [json_value(each) for each in value[:MAX_ITEMS]]
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    text = value if isinstance(value, str) else format(value, "f") if isinstance(value, Decimal) else str(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def columns_of(schema: Schema) -> list[dict[str, Any]]:
    """`[{"name": "age", "type": "long", "required": false, "doc": null}]`."""
    return [
        {"name": field.name, "type": str(field.field_type), "required": field.required, "doc": field.doc}
        for field in schema.fields
    ]


def snapshot_of(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot, its id as a text: it has 64 bits. Counts are null where its writer says nothing of them."""
    summary = snapshot.summary
    counts = {} if summary is None else summary.additional_properties

    def count(name: str) -> int | None:
        return int(counts[name]) if name in counts else None

    return {
        "id": str(snapshot.snapshot_id),
        "parent_id": None if snapshot.parent_snapshot_id is None else str(snapshot.parent_snapshot_id),
        "timestamp_ms": snapshot.timestamp_ms,
        "operation": None if summary is None else summary.operation.value,
        "added_rows": count("added-records"),
        "deleted_rows": count("deleted-records"),
        "total_rows": count("total-records"),
        "total_files": count("total-data-files"),
        "total_bytes": count("total-files-size"),
    }
