"""What there is in the catalog: tables, their columns, snapshots and first rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgard_feast.context import Context
from asgard_feast.errors import BridgeError
from asgard_feast.tables.names import all_tables, find, load
from asgard_feast.tables.values import columns_of, json_value, snapshot_of

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

MAX_SNAPSHOTS = 100
MAX_ROWS = 1_000


def list_tables(context: Context, _params: dict[str, Any]) -> dict[str, Any]:
    """`{"tables": [{"schema": "gold", "name": "customers"}]}`, by schema and name."""
    return {"tables": [{"schema": schema, "name": name} for schema, name in all_tables(context.catalog())]}


def describe(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Several tables, as `{"tables": [{"schema", "name"}]}` names them, as `get` has each; null where there is none."""
    catalog = context.catalog()
    found: list[dict[str, Any] | None] = []
    for asked in params["tables"]:
        context.raise_if_cancelled()
        table = find(catalog, asked["schema"], asked["name"])
        found.append(None if table is None else _described(table, asked, table.current_snapshot()))
    return {"tables": found}


def get(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A table, as `{"schema", "name"}` names it, with its newest 100 snapshots, the newest first, and some `rows`.

    `rows`: how many, at most 1,000. `snapshot`: the id of the one that they and the columns are of; else the current.
    Raises BridgeError NOT_FOUND for a table or a snapshot that is not there.
    """
    table = load(context.catalog(), params["schema"], params["name"])
    snapshot = _snapshot(table, params.get("snapshot"))
    return {**_described(table, params, snapshot), "rows": _rows(table, snapshot, min(params["rows"], MAX_ROWS))}


def _described(table: Table, named: dict[str, Any], snapshot: Snapshot | None) -> dict[str, Any]:
    scan = table.scan(snapshot_id=None if snapshot is None else snapshot.snapshot_id)
    current = table.current_snapshot()
    newest = sorted(table.snapshots(), key=lambda each: (each.sequence_number or 0, each.timestamp_ms), reverse=True)
    return {
        "schema": named["schema"],
        "name": named["name"],
        "columns": columns_of(scan.projection()),
        "row_count": 0 if snapshot is None else _row_count(table, snapshot),
        "snapshot_id": None if snapshot is None else str(snapshot.snapshot_id),
        "current_snapshot_id": None if current is None else str(current.snapshot_id),
        "snapshots": [snapshot_of(each) for each in newest[:MAX_SNAPSHOTS]],
    }


def _snapshot(table: Table, asked: str | None) -> Snapshot | None:
    if asked is None:
        return table.current_snapshot()
    found = table.snapshot_by_id(int(asked)) if asked.isdecimal() and len(asked) < 20 else None
    if found is None:
        name = ".".join(table.name())
        raise BridgeError("NOT_FOUND", f"table {name} has no snapshot {asked!r}: it may have expired")
    return found


def _row_count(table: Table, snapshot: Snapshot) -> int:
    """By the snapshot's own summary; only where others left files of deleted rows they are counted."""
    counts = {} if snapshot.summary is None else snapshot.summary.additional_properties
    if "total-records" in counts and counts.get("total-delete-files", "0") == "0":
        return int(counts["total-records"])
    return table.scan(snapshot_id=snapshot.snapshot_id).count()


def _rows(table: Table, snapshot: Snapshot | None, limit: int) -> list[dict[str, Any]]:
    if snapshot is None or limit == 0:
        return []
    rows: list[dict[str, Any]] = []
    for batch in table.scan(snapshot_id=snapshot.snapshot_id, limit=limit).to_arrow_batch_reader():
        rows += batch.slice(0, limit - len(rows)).to_pylist()
        if len(rows) == limit:
            break
    return [{name: json_value(value) for name, value in row.items()} for row in rows]
