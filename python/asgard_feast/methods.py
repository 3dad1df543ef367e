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
    "store.status": "asgard_feast.store_status:status",
}
"""Each method's function as `module:function`: a module is imported when it is first needed, as it may import Feast."""


def find(name: str) -> Method:
    """The function of a method. Raises BridgeError INTERNAL when there is none: the two sides do not fit together."""
    place = METHODS.get(name)
    if place is None:
        raise BridgeError("INTERNAL", f"the bridge has no method {name!r}")
    module, function = place.split(":")
    return getattr(importlib.import_module(module), function)
