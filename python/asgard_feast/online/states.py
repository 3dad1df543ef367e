"""How far the online values of views have come."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import psycopg

from asgard_feast.context import Context
from asgard_feast.errors import BridgeError
from asgard_feast.online.store import connect, online_schema, source_table
from asgard_feast.online.table import OnlineTable, State, read_states
from asgard_feast.online.view import online_view
from asgard_feast.tables.history import snapshots_since

if TYPE_CHECKING:
    from feast import FeatureView


def states(context: Context, params: dict[str, Any]) -> list[dict[str, Any]]:
    """`{"views": [names] or absent for all that are online}`: how far each one's online values have come.

    `{"view", "is_behind", "lag_seconds", "materialized_until", "snapshot_id", "entities", "trouble"}`; `lag_seconds` is
    how long the table has had what the store has not, null for a view that was never materialized; `trouble` says why
    its table cannot be looked at, else it is null.
    """
    names = params.get("views")
    chosen = [
        view for view in context.store.list_feature_views() if view.online and (names is None or view.name in names)
    ]
    with connect(context) as connection:
        known = read_states(connection, online_schema(context), [view.name for view in chosen])
        return [_state(context, connection, view, known.get(view.name)) for view in chosen]


def _state(
    context: Context, connection: psycopg.Connection, feast_view: FeatureView, known: State | None
) -> dict[str, Any]:
    online_table = OnlineTable(connection, online_schema(context), context.store.project, feast_view.name).oid()
    if known is not None and known.online_table != online_table:
        known = None  # of a view of this name that was deleted
    state = {
        "view": feast_view.name,
        "materialized_until": None if known is None else known.event_until.isoformat(),
        "snapshot_id": None if known is None or known.snapshot_id is None else str(known.snapshot_id),
        "entities": 0 if known is None else known.entities,
    }
    try:
        view = online_view(feast_view)
        table = source_table(context, view)
    except BridgeError as error:
        return {**state, "is_behind": False, "lag_seconds": None, "trouble": str(error)}
    now = datetime.now(timezone.utc)
    snapshot = table.current_snapshot()
    current = None if snapshot is None else snapshot.snapshot_id
    is_of = known is not None and known.is_of(view, str(table.metadata.table_uuid), online_table)
    lag: float | None = None
    if known is not None:
        missing = list(snapshots_since(table, known.snapshot_id)) if known.snapshot_id != current else []
        since = [datetime.fromtimestamp(each.timestamp_ms / 1000, timezone.utc) for each in missing[-1:]]
        if known.next_event_at is not None and known.next_event_at <= now:
            since.append(known.next_event_at)
        lag = max((max(0.0, (now - moment).total_seconds()) for moment in since), default=0.0)
    is_behind = not is_of or bool(lag) or (known is not None and known.snapshot_id != current)
    return {**state, "is_behind": is_behind, "lag_seconds": lag, "trouble": None}
