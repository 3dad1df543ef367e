"""What Node must know to read online values by itself."""

from __future__ import annotations

from typing import Any

from asgard_feast.context import Context


def views(context: Context, _params: dict[str, Any]) -> dict[str, Any]:
    """The feature views and services of the registry, as far as reading online values goes.

    `{"views": [{"name", "online_table", "is_online", "ttl_seconds", "join_keys": [{"name", "type"}], "features":
    [{"name", "type"}]}], "services": [{"name", "features": ["view:feature"]}]}`; types are Feast's `ValueType`'s names.
    """
    store = context.store
    return {
        "views": [
            {
                "name": view.name,
                "online_table": f"{store.project}_{view.name}",
                "is_online": view.online,
                "ttl_seconds": view.ttl.total_seconds() if view.ttl else None,
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


def _field(field: Any) -> dict[str, str]:
    return {"name": field.name, "type": field.dtype.to_value_type().name}
