"""The Iceberg catalogs, made from their properties: the one place that opens them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from asgard_feast.errors import BridgeError
from asgard_feast.made_at_once import made_at_once

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

CATALOG = "iceberg"
"""The name of the platform's catalog. A SQL catalog's rows bear it: under another name its tables are not found."""


class Catalogs:
    """Opens each catalog when it is first asked for. Safe to share between threads."""

    def __init__(self, properties: Mapping[str, Mapping[str, str]]) -> None:
        self._properties = properties
        self._open: dict[str, Catalog] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """Of the catalogs that there are."""
        return list(self._properties)

    def get(self, name: str = CATALOG) -> Catalog:
        """The catalog of this name.

        Raises BridgeError NOT_FOUND when there is none, and the driver's error while its server does not answer: then
        the next call tries again.
        """
        from pyiceberg.catalog import load_catalog

        with self._lock:
            if name not in self._properties:
                known = ", ".join(self._properties)
                raise BridgeError("NOT_FOUND", f"there is no catalog {name!r}; there is {known}")
            if name not in self._open:
                self._open[name] = made_at_once(lambda: load_catalog(name, **self._properties[name]))
            return self._open[name]
