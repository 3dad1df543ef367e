"""The Iceberg table that a feature view reads."""

from __future__ import annotations

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from asgard.nearest import instead_of
from asgard_feast.context import Context
from asgard_feast.errors import Issue
from asgard_feast.views.definition import Definition

_OTHER_SCHEMAS = 20
"""How many schemas are looked into for a table that is not in its own."""


def find_table(context: Context, definition: Definition) -> Table | Issue:
    """The table, else what is wrong with its name and what there is instead."""
    catalogs = list(context.settings.catalogs)
    if definition.catalog not in catalogs:
        message = f'there is no catalog "{definition.catalog}"; {instead_of(definition.catalog, catalogs)}'
        return {"path": ["source", "catalog"], "message": message, "type": "not_found"}
    catalog = context.catalog(definition.catalog)
    try:
        return catalog.load_table((*definition.schema.split("."), definition.table))
    except (NoSuchTableError, NoSuchNamespaceError):
        return _missing(catalog, definition)


def _missing(catalog: Catalog, definition: Definition) -> Issue:
    schemas = [".".join(namespace) for namespace in catalog.list_namespaces()]
    name, schema = definition.table, definition.schema
    if schema not in schemas:
        message = f'there is no schema "{schema}" in the catalog "{definition.catalog}"; {instead_of(schema, schemas)}'
        return {"path": ["source", "schema"], "message": message, "type": "not_found"}
    for other in schemas[:_OTHER_SCHEMAS]:
        if other != schema and name in _tables(catalog, other):
            instead = f'the schema "{other}" has one of that name'
            break
    else:
        instead = instead_of(name, _tables(catalog, schema))
    message = f'there is no table "{name}" in {definition.catalog}.{schema}; {instead}'
    return {"path": ["source", "tableName"], "message": message, "type": "not_found"}


def _tables(catalog: Catalog, schema: str) -> list[str]:
    try:
        return [identifier[-1] for identifier in catalog.list_tables(schema)]
    except NoSuchNamespaceError:  # it was dropped meanwhile
        return []
