"""Which snapshot of a table is read: the current one, unless `ASGARD_FEATURE_PINS` says otherwise.

    {"as_of": "2025-11-03T00:00:00Z", "snapshots": {"iceberg.gold.customer_metrics": "6163525430926573251"}}

Both are optional. A table that `snapshots` names is read at that snapshot; the others at the one that was current at
`as_of`, or the current one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NaiveDatetime, ValidationError

if TYPE_CHECKING:
    from pyiceberg.table import Table

VARIABLE = "ASGARD_FEATURE_PINS"


class Pins(BaseModel):
    """What a job pins. Without anything: the current snapshots."""

    model_config = ConfigDict(extra="forbid")

    as_of: AwareDatetime | NaiveDatetime | None = None
    """Without an offset it means UTC."""
    snapshots: dict[str, int] = Field(default_factory=dict)
    """By the table as people write it, `catalog.schema.table`."""

    @staticmethod
    def of(environment: Mapping[str, str] = os.environ) -> Pins:
        """What the environment says. Raises ValueError when that is not what `Pins` describes."""
        text = environment.get(VARIABLE) or "{}"
        try:
            return Pins.model_validate_json(text)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors())
            raise ValueError(f"{VARIABLE} cannot be used ({wrong}): {text[:200]}") from None

    def snapshot_of(self, table: Table, name: str) -> int | None:
        """The id of the snapshot to read of the table `name`; None: it has no rows yet.

        Raises ValueError when the pinned one is not there (any more).
        """
        if name in self.snapshots:
            pinned = self.snapshots[name]
            if table.metadata.snapshot_by_id(pinned) is None:
                raise ValueError(f"{name} is pinned to snapshot {pinned}, which it does not have; {_there_is(table)}")
            return pinned
        if self.as_of is None:
            current = table.metadata.current_snapshot()
            return None if current is None else current.snapshot_id
        at = self.as_of if self.as_of.tzinfo else self.as_of.replace(tzinfo=timezone.utc)
        entries = [entry for entry in table.history() if entry.timestamp_ms <= at.timestamp() * 1000]
        if not entries:
            raise ValueError(f"{name} is pinned to {at.isoformat()}, of which it has no snapshot; {_there_is(table)}")
        found = entries[-1].snapshot_id
        if table.metadata.snapshot_by_id(found) is None:
            raise ValueError(
                f"{name} is pinned to {at.isoformat()}, when snapshot {found} was current, which has expired;"
                f" {_there_is(table)}"
            )
        return found


def _there_is(table: Table) -> str:
    snapshots = sorted(table.metadata.snapshots, key=lambda snapshot: snapshot.timestamp_ms)
    if not snapshots:
        return "it has none"
    oldest = datetime.fromtimestamp(snapshots[0].timestamp_ms / 1000, timezone.utc)
    return f"it has {len(snapshots)}, the oldest {snapshots[0].snapshot_id} of {oldest.isoformat(timespec='seconds')}"
