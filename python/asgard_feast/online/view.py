"""What must be known of a feature view to fill and to read its online values."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from asgard_feast.errors import BridgeError

if TYPE_CHECKING:
    from feast import FeatureView

KEY_TYPES = frozenset(["BYTES", "STRING", "INT32", "INT64", "UNIX_TIMESTAMP"])
"""Of Feast's types, those that its entity keys can hold."""


@dataclass(frozen=True)
class OnlineView:
    """A feature view, as far as its online values depend on it. Types are names of Feast's `ValueType`."""

    name: str
    catalog: str
    schema: str
    table: str
    timestamp_column: str
    created_column: str | None
    join_keys: tuple[tuple[str, str], ...]
    features: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]
    """The table's column of each join key and feature, where it has another name."""

    @property
    def fingerprint(self) -> str:
        """Differs when values that were made of one definition may be wrong for the other."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def column(self, name: str) -> str:
        """The table's column of a join key or feature."""
        return dict(self.columns).get(name, name)


def online_view(view: FeatureView) -> OnlineView:
    """Raises BridgeError CONFLICT when the view has no Iceberg table behind it, or nothing to find its values by."""
    source = view.batch_source
    if source is None or not hasattr(source, "iceberg_table"):
        raise BridgeError("CONFLICT", f"feature view {view.name!r} is not made of an Iceberg table")
    join_keys = tuple((field.name, field.dtype.to_value_type().name) for field in view.entity_columns)
    odd = [f"{name} ({kind})" for name, kind in join_keys if kind not in KEY_TYPES]
    if odd or not join_keys or not view.entities:
        reason = f"its entity's {', '.join(odd)} can be no key" if odd else "it has no entity"
        raise BridgeError("CONFLICT", f"feature view {view.name!r} cannot be materialized: {reason}")
    return OnlineView(
        name=view.name,
        catalog=source.catalog_name,
        schema=source.namespace,
        table=source.iceberg_table,
        timestamp_column=source.timestamp_field,
        created_column=source.created_timestamp_column or None,
        join_keys=join_keys,
        features=tuple((field.name, field.dtype.to_value_type().name) for field in view.features),
        columns=tuple((new, old) for old, new in source.field_mapping.items()),
    )
