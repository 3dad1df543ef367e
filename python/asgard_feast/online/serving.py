"""What Node must know to read online values by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from asgard_feast.context import Context


def views(context: Context, _params: dict[str, Any]) -> dict[str, Any]:
    """The feature views and services of the registry, as far as reading online values goes.

    `{"views": [{"name", "online_table", "is_online", "ttl_seconds", "every_seconds", "join_keys": [{"name", "type"}],
    "features": [{"name", "type"}]}], "services": [{"name", "features": ["view:feature"]}]}`. Types are the names of
    Feast's `ValueType`; `every_seconds` is the view's tag `materialize_every_seconds`, null when it has none.
    """
    store = context.store
    return {
        "views": [
            {
                "name": view.name,
                "online_table": f"{store.project}_{view.name}",
                "is_online": view.online,
                "ttl_seconds": view.ttl.total_seconds() if view.ttl else None,
                "every_seconds": _every_seconds(view.tags),
                "join_keys": [_field(field) for field in view.entity_columns],
                "features": [_field(field) for field in view.features],
            }
            for view in store.list_feature_views()
        ],
        "services": [
            {
                "name": service.name,
                "features": [
                    f"{projection.name}:{feature.name}"
                    for projection in service.feature_view_projections
                    for feature in projection.features
                ],
            }
            for service in store.list_feature_services()
        ],
    }


def _every_seconds(tags: Mapping[str, str]) -> int | None:
    text = tags.get("materialize_every_seconds", "")
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _field(field: Any) -> dict[str, str]:
    return {"name": field.name, "type": field.dtype.to_value_type().name}
