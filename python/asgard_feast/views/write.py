"""Writing a feature view into the registry, with what hangs on it."""

from __future__ import annotations

from typing import Any

from feast import Entity, FeatureView

from asgard_feast.registry.services import renew_services
from asgard_feast.registry.state import RegistryState
from asgard_feast.registry.transaction import RegistryChange


def write_view(
    change: RegistryChange,
    state: RegistryState,
    view: FeatureView,
    entities: list[Entity],
    changes: list[dict[str, Any]],
) -> None:
    """Writes a view, its entities and source, what services have of it, and the table for its online values."""
    registry, project = change.registry, change.project
    before = state.view(view.name)
    for entity in entities:
        registry.apply_entity(entity, project)
    registry.apply_data_source(view.batch_source, project)
    registry.apply_feature_view(view, project)
    if before is None:
        change.update_online_tables(drop=[], create=[view] if view.online else [])
        return
    renew_services(change, state, view)
    delete_unused(change, state, before, kept=view)
    _renew_online_values(change, before, view, changes)


def delete_unused(change: RegistryChange, state: RegistryState, before: FeatureView, kept: FeatureView | None) -> None:
    """Deletes the entities and the source of a view that neither it, as it is `kept`, nor another view has."""
    for name in before.entities:
        if (kept is None or name not in kept.entities) and not state.views_with_entity(name, beside=before.name):
            change.registry.delete_entity(name, change.project)
    source = before.batch_source.name
    is_kept = kept is not None and kept.batch_source.name == source
    if not is_kept and not state.has_source(source, beside=before.name):
        change.registry.delete_data_source(source, change.project)


def _renew_online_values(
    change: RegistryChange, before: FeatureView, view: FeatureView, changes: list[dict[str, Any]]
) -> None:
    """Removes what is online of the view as it was and is no value of it any more."""
    is_other = any(each["path"][0] in ("source", "entities") for each in changes)
    gone = [each["path"][1] for each in changes if each["kind"] != "added" and _is_type(each["path"])]
    if before.online and (is_other or not view.online):
        change.update_online_tables(drop=[before], create=[])
    elif before.online and gone:
        change.delete_online_features(view, gone)
    if view.online:
        change.update_online_tables(drop=[], create=[view])


def _is_type(path: list[str]) -> bool:
    return path[0] == "features" and path[2:] == ["dtype"]
