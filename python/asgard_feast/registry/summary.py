"""What is in the registry, by name."""

from __future__ import annotations

from typing import Any

from asgard_feast.context import Context
from asgard_feast.registry.kinds import ENTITIES, SERVICES, VIEWS


def summary(context: Context, _params: dict[str, Any]) -> dict[str, Any]:
    """`{"views": ["…"], "entities": ["…"], "services": ["…"]}`, each sorted."""
    store = context.store
    with store.registry.read_engine.begin() as connection:
        return {
            "views": VIEWS.names(connection, store.project),
            "entities": ENTITIES.names(connection, store.project),
            "services": SERVICES.names(connection, store.project),
        }
