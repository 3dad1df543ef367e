"""Feature views: what a definition would become, applying it, reading and deleting views."""

from __future__ import annotations

from typing import Any

from pyiceberg.table import Table
from sqlalchemy import Connection

from asgard.nearest import instead_of
from asgard_feast.context import Context
from asgard_feast.errors import BridgeError, Issue
from asgard_feast.registry.kinds import VIEWS
from asgard_feast.registry.state import RegistryState
from asgard_feast.registry.transaction import registry_change
from asgard_feast.tables.values import columns_of
from asgard_feast.views.changes import changes
from asgard_feast.views.checks import check_against, check_alone
from asgard_feast.views.definition import Definition
from asgard_feast.views.record import record_of, view_of
from asgard_feast.views.sample import sample
from asgard_feast.views.source_table import find_table
from asgard_feast.views.write import delete_unused, write_view

MAX_TRIES = 5


def plan(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """What applying a definition would do, and what the table's first rows say of it. Writes nothing.

    `{"action", "changes", "view", "table", "sample"}`: action and changes as of `apply`. Raises what `apply` does.
    """
    store = context.store
    definition, table, entities = _check_against_table(context, Definition.of(params))
    with store.registry.read_engine.begin() as connection:
        state = _check_against_registry(connection, store.project, definition, entities)
    view = record_of(view_of(definition, [state.entity(name, entities[name]) for name in definition.entities]))
    before = state.record(definition.name)
    return {
        "action": _action(before, view),
        "changes": changes(before, view),
        "view": view,
        "table": _table_record(definition, table),
        "sample": _sample_record(definition, table),
    }


def apply(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Makes a view what a definition says: `{"action": "created"|"changed"|"unchanged", "changes", "view"}`.

    Raises BridgeError INVALID_INPUT with every mistake, CONFLICT when a service stands in the way or others kept
    changing the table; nothing is written then.
    """
    definition = Definition.of(params)
    for _ in range(MAX_TRIES):
        context.raise_if_cancelled()
        done = _apply(context, definition)
        if done is not None:
            return done
    raise BridgeError("CONFLICT", f"others keep changing {definition.table_name}: try again when they are done")


def _apply(context: Context, asked: Definition) -> dict[str, Any] | None:
    """None: the table is gone or has got other columns since they were checked, and nothing was written."""
    definition, table, entities = _check_against_table(context, asked)
    with registry_change(context.store) as change:
        state = _check_against_registry(change.connection, change.project, definition, entities)
        before = state.record(definition.name)
        members = [state.entity(name, entities[name]) for name in definition.entities]
        view = view_of(definition, members)
        found = changes(before, record_of(view))
        action = _action(before, record_of(view))
        if action != "unchanged":
            # Whoever deletes a table, or takes columns off it, holds the same lock.
            now = find_table(context, definition)
            if isinstance(now, dict) or now.schema() != table.schema():
                return None
            write_view(change, state, view, members, found)
        stored = record_of(change.registry.get_feature_view(view.name, change.project))
    return {"action": action, "changes": found, "view": stored}


def find(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """`{"names": […]}` → `{"views": […]}`: the views of these names, null for each that there is none of."""
    store = context.store
    with store.registry.read_engine.begin() as connection:
        found = VIEWS.named(connection, store.project, params["names"])
    return {"views": [record_of(found[name]) if name in found else None for name in params["names"]]}


def list_page(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """`{"first", "after", "search"}` → `{"views": […], "total"}`, by name."""
    store = context.store
    with store.registry.read_engine.begin() as connection:
        page, total = VIEWS.page(connection, store.project, params["first"], params["after"], params["search"])
    return {"views": [record_of(view) for view in page], "total": total}


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Deletes a view, its online values, and the entities and the source that no other view has: `{"view"}`, as it was.

    Raises BridgeError NOT_FOUND, and CONFLICT when a feature service names it.
    """
    name = params["name"]
    with registry_change(context.store) as change:
        state = RegistryState.read(change.connection, change.project)
        view = state.view(name)
        if view is None:
            raise BridgeError("NOT_FOUND", f'there is no feature view "{name}"; {instead_of(name, list(state.views))}')
        services = state.services_of(name)
        if services:
            message = f'the feature view "{name}" is in the feature services {", ".join(services)}: delete those first'
            raise BridgeError("CONFLICT", message)
        change.registry.delete_feature_view(name, change.project)
        delete_unused(change, state, view, kept=None)
        change.update_online_tables(drop=[view], create=[])
    return {"view": record_of(view)}


def _check_against_table(context: Context, definition: Definition) -> tuple[Definition, Table, dict[str, str]]:
    """The definition with its timestamp field, the table, and the type of each entity."""
    table = find_table(context, definition)
    if isinstance(table, dict):
        issues = [table, *check_alone(definition)]
    else:
        definition, entities, issues = check_against(definition, table, context.raise_if_cancelled)
    if not issues:
        return definition, table, entities
    # All mistakes at once, so those too that the registry shows.
    store = context.store
    with store.registry.read_engine.begin() as connection:
        issues += RegistryState.read(connection, store.project, definition.entities).issues(definition, {})
    raise _refusal(definition, issues)


def _check_against_registry(
    connection: Connection, project: str, definition: Definition, entities: dict[str, str]
) -> RegistryState:
    state = RegistryState.read(connection, project, definition.entities)
    issues = list(state.issues(definition, entities))
    if issues:
        raise _refusal(definition, issues)
    state.refuse_removals(definition)
    return state


def _refusal(definition: Definition, issues: list[Issue]) -> BridgeError:
    listed = "; ".join(issue["message"] for issue in issues)
    return BridgeError("INVALID_INPUT", f'the feature view "{definition.name}" was not applied: {listed}', issues)


def _action(before: dict[str, Any] | None, after: dict[str, Any]) -> str:
    if before is None:
        return "created"
    return "changed" if changes(before, after) else "unchanged"


def _table_record(definition: Definition, table: Table) -> dict[str, Any]:
    snapshot = table.metadata.current_snapshot_id
    return {
        "name": definition.table_name,
        "columns": columns_of(table.schema()),
        "snapshotId": None if snapshot is None else str(snapshot),
    }


def _sample_record(definition: Definition, table: Table) -> dict[str, Any]:
    time = definition.timestamp_field or ""
    keys = [*definition.entities, time]
    created = [definition.created_timestamp_column] if definition.created_timestamp_column else []
    columns = [*keys, *created, *(feature.name for feature in definition.features)]
    return {"columns": columns} | sample(table, keys, columns)
