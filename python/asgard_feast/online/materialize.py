"""Fills a feature view's online values from its Iceberg table.

What has come since the last run is told by the table's own history, not by event times: late rows are then like any
others. While only rows were appended, those are read and brought in. After anything else (rows deleted or overwritten,
files rewritten, another definition or table) the whole table is read, and what is in it no more leaves the store.

A run is one transaction: readers see the values before it or after it, and a run that dies leaves nothing behind.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from asgard_feast.context import Context
from asgard_feast.errors import BridgeError
from asgard_feast.online.latest_rows import CREATED_AT, EVENT_AT, ScanCounts, latest_rows
from asgard_feast.online.store import connect, feature_view, online_schema, source_table
from asgard_feast.online.table import Merged, OnlineTable, State, make_state_table, read_states
from asgard_feast.online.values import entity_keys_of, values_of
from asgard_feast.online.view import OnlineView, online_view
from asgard_feast.tables.history import was_only_appended

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureView
    from pyiceberg.table import BaseScan, Table

_PROGRESS_SECONDS = 0.5


def materialize(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """`{"view": name}`: brings one view's online values up to its table's current snapshot and to now.

    Progress is `{"rows_read", "entities"}`, each half a second and when all is read. Answers `{"mode": "UNCHANGED" |
    "INCREMENTAL" | "FULL", "rows_read", "rows_skipped", "values_written", "entities_deleted", "entities",
    "snapshot_id"}`. CONFLICT: the view is being
    materialized elsewhere, is not online, or its table does not fit it.
    """
    feast_view = feature_view(context, params["view"])
    if not feast_view.online:
        raise BridgeError("CONFLICT", f"feature view {feast_view.name!r} is not online: set `online` to true first")
    view = online_view(feast_view)
    table = source_table(context, view)
    end = datetime.now(timezone.utc)
    schema, table_uuid = online_schema(context), str(table.metadata.table_uuid)
    with connect(context) as connection:
        make_state_table(connection, schema)
        with connection.transaction():
            target = OnlineTable(connection, schema, context.store.project, view.name)
            target.lock()
            online_table = target.oid() or _make_table(context, feast_view, target)
            known = read_states(connection, schema, [view.name]).get(view.name)
            is_known = known is not None and known.is_of(view, table_uuid, online_table)
            run = _Run(context, view, table, end, known if is_known else None)
            merged, entities = run.fill(target)
            target.save(
                State(view.fingerprint, online_table, table_uuid, run.snapshot_id, end, run.next_event_at(), entities)
            )
    return {
        "mode": run.mode,
        "rows_read": run.counts.rows,
        "rows_skipped": run.counts.skipped,
        "values_written": merged.values_written,
        "entities_deleted": merged.entities_deleted,
        "entities": entities,
        "snapshot_id": None if run.snapshot_id is None else str(run.snapshot_id),
    }


def _make_table(context: Context, feast_view: FeatureView, target: OnlineTable) -> int:
    """Feast's own table of a view that has none yet; returns PostgreSQL's number of it."""
    online_store = context.store._get_provider().online_store
    online_store.update(context.store.config, [], [feast_view], [], [], partial=True)
    online_table = target.oid()
    if online_table is None:
        raise BridgeError("UNAVAILABLE", f"the online table of feature view {feast_view.name!r} is gone; try again")
    return online_table


class _Run:
    """One pass over what is new in a view's table."""

    def __init__(self, context: Context, view: OnlineView, table: Table, end: datetime, state: State | None) -> None:
        self._context = context
        self._view = view
        self._table = table
        self._end = end
        self._state = state
        self._entities = 0
        self._told_at = time.monotonic()
        snapshot = table.current_snapshot()
        self.snapshot_id = None if snapshot is None else snapshot.snapshot_id
        self.counts = ScanCounts()
        self.mode = self._choose_mode()

    def _choose_mode(self) -> str:
        state = self._state
        if state is None or (state.next_event_at is not None and state.next_event_at <= self._end):
            return "FULL"
        if state.snapshot_id == self.snapshot_id:
            return "UNCHANGED"
        if state.snapshot_id is None or self.snapshot_id is None:
            return "FULL"
        return "INCREMENTAL" if was_only_appended(self._table, state.snapshot_id) else "FULL"

    def fill(self, target: OnlineTable) -> tuple[Merged, int]:
        """Reads what is new, and brings it in. Returns how many entities have values then."""
        if self.mode == "UNCHANGED" and self._state is not None:
            return Merged(values_written=0, entities_deleted=0), self._state.entities
        features = [name for name, _ in self._view.features]
        target.stage(self._staged_rows(), features)
        self._tell()  # all is read: bringing it in may take as long, or wait for others
        return target.merge(features, is_whole=self.mode == "FULL"), target.count_entities(features[0])

    def next_event_at(self) -> datetime | None:
        """When the earliest row that was left for its time is due."""
        waiting = [self.counts.next_event_at]
        if self.mode != "FULL" and self._state is not None:
            waiting.append(self._state.next_event_at)
        return min((moment for moment in waiting if moment is not None), default=None)

    def _scan(self) -> BaseScan:
        view = self._view
        names = [view.column(name) for name, _ in (*view.join_keys, *view.features)]
        columns = tuple(dict.fromkeys([*names, view.timestamp_column, *filter(None, [view.created_column])]))
        if self.mode == "INCREMENTAL" and self._state is not None:
            return self._table.incremental_append_scan(
                from_snapshot_id_exclusive=self._state.snapshot_id, selected_fields=columns
            )
        return self._table.scan(selected_fields=columns)

    def _staged_rows(self) -> Iterator[tuple[Any, ...]]:
        if self.snapshot_id is None:
            return  # of a table that never had a row
        folder = self._context.settings.folder
        for batch in latest_rows(self._scan(), self._view, self._end, folder, self.counts, self._between):
            yield from _encoded(batch, self._view)
            self._entities += len(batch)
            self._between()

    def _between(self) -> None:
        self._context.raise_if_cancelled()
        if time.monotonic() - self._told_at >= _PROGRESS_SECONDS:
            self._tell()

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        self._context.progress({"rows_read": self.counts.rows, "entities": self._entities})


def _encoded(batch: pa.RecordBatch, view: OnlineView) -> Iterator[tuple[Any, ...]]:
    """Rows as `OnlineTable.stage` takes them."""
    keys = entity_keys_of([batch.column(name) for name, _ in view.join_keys], view.join_keys)
    events = batch.column(EVENT_AT).to_pylist()
    created = batch.column(CREATED_AT).to_pylist()
    values = [
        column for name, kind in view.features for column in values_of(batch.column(name), kind, f"feature {name}")
    ]
    return zip(keys, events, created, *values, strict=True)
