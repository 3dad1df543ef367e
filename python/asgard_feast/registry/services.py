"""Feature services: named choices of features of views."""

from __future__ import annotations

from typing import Any

from feast import FeatureService, FeatureView

from asgard.nearest import instead_of
from asgard_feast.context import Context
from asgard_feast.errors import BridgeError, Issue
from asgard_feast.registry.kinds import SERVICES, VIEWS
from asgard_feast.registry.state import RegistryState
from asgard_feast.registry.transaction import RegistryChange, registry_change
from asgard_feast.views.record import iso


def apply(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Makes a service what was asked for: `{"action": "created"|"changed"|"unchanged", "service"}`.

    `{"name", "features": ["view" | "view:feature", …], "description", "owner", "tags"}`; a view alone stands for all of
    its features. Raises BridgeError INVALID_INPUT with every name that there is none of, and what there is instead.
    """
    name = params["name"]
    with registry_change(context.store) as change:
        known = SERVICES.named(change.connection, change.project, [name]).get(name)
        service = FeatureService(
            name=name,
            features=_chosen(change, name, params["features"]),
            description=params["description"],
            owner=params["owner"],
            tags=params["tags"],
        )
        is_same = known is not None and _definition(known) == _definition(service)
        if not is_same:
            change.registry.apply_feature_service(service, change.project)
        stored = SERVICES.named(change.connection, change.project, [name])[name]
    action = "unchanged" if is_same else "created" if known is None else "changed"
    return {"action": action, "service": service_record(stored)}


def find(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """`{"names": […]}` → `{"services": […]}`: those of these names, null for each that there is none of."""
    store = context.store
    with store.registry.read_engine.begin() as connection:
        found = SERVICES.named(connection, store.project, params["names"])
    return {"services": [service_record(found[name]) if name in found else None for name in params["names"]]}


def list_page(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """`{"first", "after", "search"}` → `{"services": […], "total"}`, by name."""
    store = context.store
    with store.registry.read_engine.begin() as connection:
        page, total = SERVICES.page(connection, store.project, params["first"], params["after"], params["search"])
    return {"services": [service_record(service) for service in page], "total": total}


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Deletes a service: `{"service"}`, as it was. Raises BridgeError NOT_FOUND."""
    name = params["name"]
    with registry_change(context.store) as change:
        known = SERVICES.named(change.connection, change.project, [name]).get(name)
        if known is None:
            names = SERVICES.names(change.connection, change.project)
            raise BridgeError("NOT_FOUND", f'there is no feature service "{name}"; {instead_of(name, names)}')
        change.registry.delete_feature_service(name, change.project)
    return {"service": service_record(known)}


def renew_services(change: RegistryChange, state: RegistryState, view: FeatureView) -> None:
    """Has the services that name a view carry its features and its source as they are now: Feast copies them there."""
    for name in state.services_of(view.name):
        service = FeatureService.from_proto(state.services[name])
        for projection in service.feature_view_projections:
            if projection.name == view.name:
                chosen = {feature.name for feature in projection.features}
                projection.features = [feature for feature in view.features if feature.name in chosen]
                projection.batch_source = view.batch_source
        change.registry.apply_feature_service(service, change.project)


def service_record(service: FeatureService) -> dict[str, Any]:
    """A service of the registry; times in ISO 8601."""
    return {
        **_definition(service),
        "createdAt": iso(service.created_timestamp),
        "updatedAt": iso(service.last_updated_timestamp),
    }


def _definition(service: FeatureService) -> dict[str, Any]:
    return {
        "name": service.name,
        "views": [
            {"name": projection.name, "features": [feature.name for feature in projection.features]}
            for projection in service.feature_view_projections
        ],
        "description": service.description,
        "owner": service.owner,
        "tags": dict(service.tags),
    }


def _chosen(change: RegistryChange, service: str, references: list[str]) -> list[FeatureView]:
    """The views that references name, each with the features that they name of it, in their order."""
    wanted: dict[str, list[str] | None] = {}
    parsed = [(reference.partition(":")[0], reference.partition(":")[2]) for reference in references]
    views = VIEWS.named(change.connection, change.project, [view for view, _ in parsed])
    issues: list[Issue] = []
    for index, (view, feature) in enumerate(parsed):
        problem = _problem(change, views, view, feature)
        if problem is not None:
            issues.append({"path": ["features", index], "message": problem, "type": "not_found"})
        elif not feature:
            wanted[view] = None
        elif (features := wanted.setdefault(view, [])) is not None and feature not in features:
            features.append(feature)
    if issues:
        listed = "; ".join(issue["message"] for issue in issues)
        raise BridgeError("INVALID_INPUT", f'the feature service "{service}" was not applied: {listed}', issues)
    return [views[name] if features is None else views[name][features] for name, features in wanted.items()]


def _problem(change: RegistryChange, views: dict[str, FeatureView], view: str, feature: str) -> str | None:
    """Why a reference names nothing; None when it does."""
    known = views.get(view)
    if known is None:
        names = VIEWS.names(change.connection, change.project)
        return f'there is no feature view "{view}"; {instead_of(view, names)}'
    names = [each.name for each in known.features]
    if feature and feature not in names:
        return f'the feature view "{view}" has no feature "{feature}"; {instead_of(feature, names)}'
    return None
