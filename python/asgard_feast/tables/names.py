"""The names of schemas and tables, and what is said when there is none of a name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from asgard.nearest import nearest_names
from asgard_feast.errors import BridgeError, invalid_input

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

_RULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What no database holds."""
MAX_NAME = 250
MAX_TABLES = 10_000
_MAX_DEPTH = 5


def new_identifier(params: dict[str, Any]) -> tuple[str, str]:
    """Schema and name of a table that may be made, out of a request's params. Raises BridgeError INVALID_INPUT."""
    for field in ("schema", "name"):
        if not _RULE.fullmatch(params[field]):
            what = "must be letters, digits and underscores, at most 128, and not begin with a digit"
            raise invalid_input([field], f"{field} {what}; it is {params[field]!r}")
    return params["schema"], params["name"]


def load(catalog: Catalog, schema: str, name: str) -> Table:
    """A table. Raises BridgeError NOT_FOUND with the names that may be meant."""
    found = find(catalog, schema, name)
    if found is not None:
        return found
    wanted = f"{schema}.{name}"
    near = nearest_names(wanted, [f"{each}.{other}" for each, other in all_tables(catalog)], 3)
    hint = f"; perhaps {' or '.join(near)} is meant" if near else "; GET /iceberg/tables lists those that there are"
    raise BridgeError("NOT_FOUND", f"there is no table {wanted}{hint}")


def find(catalog: Catalog, schema: str, name: str) -> Table | None:
    """A table, or None when there is none."""
    from pyiceberg.exceptions import NoSuchTableError

    namespace = schema.split(".")
    # pyiceberg fails on a blank part of a namespace, and PostgreSQL on what it cannot store.
    is_blank = any(not part.strip() for part in namespace)
    if is_blank or any(not 0 < len(text) <= MAX_NAME or _UNSTORABLE.search(text) for text in (schema, name)):
        return None
    try:
        return catalog.load_table((*namespace, name))
    except NoSuchTableError:
        return None


def all_tables(catalog: Catalog) -> list[tuple[str, str]]:
    """Schema and name of every table, sorted; of more than 10,000 the first that the catalog tells of."""
    found: set[tuple[str, str]] = set()
    waiting: list[tuple[str, ...]] = list(catalog.list_namespaces())
    while waiting and len(found) < MAX_TABLES:
        namespace = waiting.pop()
        found.update((".".join(identifier[:-1]), identifier[-1]) for identifier in catalog.list_tables(namespace))
        if len(namespace) < _MAX_DEPTH:
            waiting.extend(child for child in catalog.list_namespaces(namespace) if len(child) > len(namespace))
    return sorted(found)[:MAX_TABLES]
