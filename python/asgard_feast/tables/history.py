"""What has become of an Iceberg table since one of its snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


def was_only_appended(table: Table, since: int) -> bool:
    """Whether the current snapshot came out of that one by appends alone. Not when history reaches back no more."""
    history = list(snapshots_since(table, since))
    return history[-1].parent_snapshot_id == since and all(_is_append(snapshot) for snapshot in history)


def snapshots_since(table: Table, since: int | None) -> Iterator[Snapshot]:
    """The snapshots after that one, the newest first; all that are known when it is not among their ancestors."""
    snapshot = table.current_snapshot()
    while snapshot is not None and snapshot.snapshot_id != since:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.snapshot_by_id(parent)


def _is_append(snapshot: Snapshot) -> bool:
    return snapshot.summary is not None and snapshot.summary.operation.value == "append"
