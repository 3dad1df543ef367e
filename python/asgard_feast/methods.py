"""What can be asked of the bridge."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from asgard_feast.context import Context
from asgard_feast.errors import BridgeError

Method = Callable[[Context, dict[str, Any]], Any]
"""Takes the request's `params`; what it returns becomes the `result`, as JSON. Runs in a thread, beside others."""

METHODS: dict[str, str] = {
    "catalog.check": "asgard_feast.store_status:check_catalog",
    "entities.list": "asgard_feast.registry.entities:list_page",
    "online.materialize": "asgard_feast.online.materialize:materialize",
    "online.states": "asgard_feast.online.states:states",
    "online.views": "asgard_feast.online.serving:views",
    "registry.summary": "asgard_feast.registry.summary:summary",
    "services.apply": "asgard_feast.registry.services:apply",
    "services.delete": "asgard_feast.registry.services:delete",
    "services.find": "asgard_feast.registry.services:find",
    "services.list": "asgard_feast.registry.services:list_page",
    "store.status": "asgard_feast.store_status:status",
    "tables.delete": "asgard_feast.tables.delete:delete",
    "tables.describe": "asgard_feast.tables.listing:describe",
    "tables.get": "asgard_feast.tables.listing:get",
    "tables.list": "asgard_feast.tables.listing:list_tables",
    "tables.write": "asgard_feast.tables.write:write",
    "views.apply": "asgard_feast.views.views:apply",
    "views.delete": "asgard_feast.views.views:delete",
    "views.find": "asgard_feast.views.views:find",
    "views.list": "asgard_feast.views.views:list_page",
    "views.plan": "asgard_feast.views.views:plan",
}
"""Each method's function as `module:function`: a module is imported when it is first needed, as it may import Feast."""


_WITHOUT_FEAST = frozenset(["asgard_feast.store_status", "asgard_feast.tables.write", "asgard_feast.tables.listing"])
"""Modules that import nothing of Feast's. The others wait until it is imported: they would find it half-made."""


def find(name: str, wait_for_feast: Callable[[], None]) -> Method:
    """The function of a method. Raises BridgeError INTERNAL when there is none: the two sides do not fit together."""
    place = METHODS.get(name)
    if place is None:
        raise BridgeError("INTERNAL", f"the bridge has no method {name!r}")
    module, function = place.split(":")
    if module not in _WITHOUT_FEAST:
        wait_for_feast()
    return getattr(importlib.import_module(module), function)
