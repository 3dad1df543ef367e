"""What Node must know to read online values by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from feast.infra.registry import sql
from sqlalchemy import select

from asgard_feast.context import Context
from asgard_feast.online.view import KEY_TYPES

if TYPE_CHECKING:
    from feast import FeatureView
    from feast.feature_view_projection import FeatureViewProjection

_OTHER_KINDS = (
    (sql.on_demand_feature_views, "an on-demand feature view"),
    (sql.stream_feature_views, "a stream feature view"),
    (sql.label_views, "a label view"),
)


def views(context: Context, _params: dict[str, Any]) -> dict[str, Any]:
    """The feature views and services of the registry, as far as reading online values goes.

    `{"views": [{"name", "online_table", "is_online", "refusal", "ttl_seconds", "every_seconds",
    "join_keys": [{"name", "type"}], "features": [names]}], "services": [{"name", "projections":
    [{"view", "name", "version", "join_keys": {the view's name: a request's name}, "features": [names]}]}],
    "others": {name: what kind of view that is}}`. Types are the names of Feast's `ValueType`; `refusal` says, after
    the view's name, why its values cannot be read, else it is null; `every_seconds` is the view's tag
    `materialize_every_seconds`, null when it has none; `version` is null for the newest one.
    """
    store = context.store
    return {
        "views": [_view(store.project, view) for view in store.list_feature_views()],
        "services": [
            {
                "name": service.name,
                "projections": [_projection(each) for each in service.feature_view_projections],
            }
            for service in store.list_feature_services()
        ],
        "others": _others(context),
    }


def _view(project: str, view: FeatureView) -> dict[str, Any]:
    refusal = _refusal(view)
    return {
        "name": view.name,
        "online_table": f"{project}_{view.name}",
        "is_online": view.online,
        "refusal": refusal,
        "ttl_seconds": view.ttl.total_seconds() if view.ttl else None,
        "every_seconds": _every_seconds(view.tags),
        "join_keys": [{"name": key.name, "type": _type(key)} for key in view.entity_columns] if refusal is None else [],
        "features": [field.name for field in view.features],
    }


def _refusal(view: FeatureView) -> str | None:
    """Views that the platform applied have none of this; another client may have written others."""
    if not view.enabled:
        return "is disabled: have Feast enable it first"
    if not view.entities:
        return "has no entity, and values are read by one"
    odd = next((key for key in view.entity_columns if _type(key) not in KEY_TYPES), None)
    if odd is None:
        return None
    return f"is joined by {odd.name}, which is {_type(odd)}: of that Feast makes no entity key"


def _projection(projection: FeatureViewProjection) -> dict[str, Any]:
    return {
        "view": projection.name,
        "name": projection.name_alias or projection.name,
        "version": projection.version_tag,
        "join_keys": dict(projection.join_key_map),
        "features": [field.name for field in projection.features],
    }


def _others(context: Context) -> dict[str, str]:
    """Their names alone: to load an on-demand view is to run code that lies in the registry."""
    store = context.store
    with store.registry.read_engine.begin() as connection:
        return {
            name: kind
            for table, kind in _OTHER_KINDS
            for (name,) in connection.execute(
                select(table.c.feature_view_name).where(table.c.project_id == store.project)
            )
        }


def _every_seconds(tags: Mapping[str, str]) -> int | None:
    text = tags.get("materialize_every_seconds", "")
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _type(field: Any) -> str:
    return field.dtype.to_value_type().name
