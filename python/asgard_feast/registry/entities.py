"""The entities of the registry: what feature views are about. They come and go with the views that have them."""

from __future__ import annotations

from typing import Any

from asgard_feast.context import Context
from asgard_feast.registry.kinds import ENTITIES, VIEWS
from asgard_feast.registry.state import entity_dtype
from asgard_feast.views.record import iso


def list_page(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """`{"first", "after", "search"}` → `{"entities": […], "total"}`, by name, each with the names of its views."""
    store = context.store
    with store.registry.read_engine.begin() as connection:
        page, total = ENTITIES.page(connection, store.project, params["first"], params["after"], params["search"])
        views = VIEWS.protos(connection, store.project)
    return {
        "entities": [
            {
                "name": entity.name,
                "joinKey": entity.join_key,
                "dtype": entity_dtype(entity),
                "views": sorted(view.spec.name for view in views if entity.name in view.spec.entities),
                "createdAt": iso(entity.created_timestamp),
            }
            for entity in page
        ],
        "total": total,
    }
