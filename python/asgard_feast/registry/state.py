"""What the registry holds, as far as a change of one feature view has to know it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from feast import Entity, FeatureView
from feast.data_source import DataSource
from feast.value_type import ValueType
from sqlalchemy import Connection

from asgard_feast.errors import BridgeError, Issue
from asgard_feast.registry.kinds import ENTITIES, SERVICES, VIEWS
from asgard_feast.views.definition import Definition
from asgard_feast.views.record import ENTITY_TYPES, entity_of, record_of, source_record


class RegistryState:
    """All views and services as they are stored, by name, and the entities that a definition names."""

    def __init__(self, views: dict[str, Any], services: dict[str, Any], entities: dict[str, Entity]) -> None:
        self.views = views
        self.services = services
        self._entities = entities

    @staticmethod
    def read(connection: Connection, project: str, entities: list[str] | None = None) -> RegistryState:
        """Three queries. 1,000 views take some 20 ms."""
        views = {proto.spec.name: proto for proto in VIEWS.protos(connection, project)}
        services = {proto.spec.name: proto for proto in SERVICES.protos(connection, project)}
        return RegistryState(views, services, ENTITIES.named(connection, project, entities or []))

    def record(self, name: str) -> dict[str, Any] | None:
        """The view of this name; None when there is none."""
        view = self.view(name)
        return None if view is None else record_of(view)

    def view(self, name: str) -> FeatureView | None:
        """Feast's own object for the view of this name."""
        proto = self.views.get(name)
        return None if proto is None else FeatureView.from_proto(proto)

    def entity(self, name: str, dtype: str) -> Entity:
        """The entity of this name as it is, with what else is said of it, or a new one."""
        known = self._entities.get(name)
        return known if known is not None and entity_dtype(known) == dtype else entity_of(name, dtype)

    def issues(self, definition: Definition, entities: dict[str, str]) -> Iterator[Issue]:
        """What in a definition does not go together with what is there. `entities`: the type of each column."""
        for name in self.views:
            if name != definition.name and name.lower() == definition.name.lower():
                message = f'there is a feature view "{name}": names must differ by more than upper and lower case'
                yield {"path": ["name"], "message": message, "type": "value_error"}
        for index, name in enumerate(definition.entities):
            known = self._entities.get(name)
            users = self.views_with_entity(name, beside=definition.name)
            if known is None or name not in entities or not users or entity_dtype(known) == entities[name]:
                continue
            message = (
                f'the entity "{name}" is {entity_dtype(known)} in {", ".join(users[:5])}, and the column "{name}" of '
                f"{definition.table_name} is {entities[name]}: an entity has one type, so the columns must agree"
            )
            yield {"path": ["entities", index], "message": message, "type": "type_error"}

    def refuse_removals(self, definition: Definition) -> None:
        """Raises BridgeError CONFLICT when services name features that a definition leaves out."""
        kept = {feature.name for feature in definition.features}
        for service in self.services.values():
            for projection in service.spec.features:
                missing = sorted({column.name for column in projection.feature_columns} - kept)
                if projection.feature_view_name == definition.name and missing:
                    message = (
                        f'the feature service "{service.spec.name}" has {", ".join(missing)} of the feature view '
                        f'"{definition.name}": change or delete the service first'
                    )
                    raise BridgeError("CONFLICT", message)

    def services_of(self, view: str) -> list[str]:
        """The names of the services that have features of a view."""
        return [
            name
            for name, service in self.services.items()
            if any(projection.feature_view_name == view for projection in service.spec.features)
        ]

    def views_with_entity(self, entity: str, beside: str) -> list[str]:
        """The other views of an entity."""
        return [name for name, view in self.views.items() if name != beside and entity in view.spec.entities]

    def views_of_table(self, catalog: str, schema: str, table: str) -> list[str]:
        """The names of the views that read a table, sorted."""
        named = {"catalog": catalog, "schema": schema, "tableName": table}
        sources = {name: DataSource.from_proto(view.spec.batch_source) for name, view in self.views.items()}
        return sorted(name for name, source in sources.items() if named.items() <= source_record(source).items())

    def has_source(self, source: str, beside: str) -> bool:
        """Whether other views read a source."""
        return any(name != beside and view.spec.batch_source.name == source for name, view in self.views.items())


def entity_dtype(entity: Entity) -> str:
    """The type of an entity, as its views' columns have it."""
    types: dict[ValueType, str] = {value_type: dtype for dtype, (value_type, _) in ENTITY_TYPES.items()}
    return types.get(entity.value_type, entity.value_type.name.lower())
