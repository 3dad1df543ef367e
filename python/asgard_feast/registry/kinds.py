"""The kinds of objects in Feast's registry: where each is stored, and pages of them by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from feast import Entity, FeatureService, FeatureView
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.infra.registry import sql
from feast.protos.feast.core.Entity_pb2 import Entity as EntityProto
from feast.protos.feast.core.FeatureService_pb2 import FeatureService as FeatureServiceProto
from feast.protos.feast.core.FeatureView_pb2 import FeatureView as FeatureViewProto
from sqlalchemy import Connection, Select, Table, collate, func, select


@dataclass(frozen=True)
class Kind:
    """A table of the registry, a row an object, its definition in a protobuf."""

    table: Table
    name_column: str
    proto_column: str
    proto_class: Any
    python_class: Any

    def page(
        self, connection: Connection, project: str, first: int, after: str | None, search: str | None
    ) -> tuple[list[Any], int]:
        """Up to `first` objects that follow `after`, by name, and how many there are.

        Where there is a `search`, of those whose names contain it, in any case.
        """
        name = self.table.c[self.name_column]
        chosen = self._of(project)
        if search:
            chosen = chosen.where(func.strpos(func.lower(name), search.lower()) > 0)
        total = connection.execute(select(func.count()).select_from(chosen.subquery())).scalar_one()
        by_code = collate(name, "C")
        if after is not None:
            chosen = chosen.where(by_code > after)
        rows = connection.execute(chosen.order_by(by_code).limit(first))
        return [self._object(data) for (data,) in rows], total

    def named(self, connection: Connection, project: str, names: list[str]) -> dict[str, Any]:
        """The objects of these names that there are."""
        rows = connection.execute(self._of(project).where(self.table.c[self.name_column].in_(names)))
        return {each.name: each for each in (self._object(data) for (data,) in rows)}

    def protos(self, connection: Connection, project: str) -> list[Any]:
        """All of them as they are stored, which is quick to read."""
        return [self.proto_class.FromString(data) for (data,) in connection.execute(self._of(project))]

    def names(self, connection: Connection, project: str) -> list[str]:
        """The names of all of them, sorted."""
        name = self.table.c[self.name_column]
        chosen = self._of(project).with_only_columns(name).order_by(collate(name, "C"))
        return list(connection.execute(chosen).scalars())

    def _of(self, project: str) -> Select[Any]:
        name = self.table.c[self.name_column]
        # Feast has one that stands for no entity.
        return select(self.table.c[self.proto_column]).where(
            self.table.c.project_id == project, name != DUMMY_ENTITY_NAME
        )

    def _object(self, data: bytes) -> Any:
        return self.python_class.from_proto(self.proto_class.FromString(data))


VIEWS = Kind(sql.feature_views, "feature_view_name", "feature_view_proto", FeatureViewProto, FeatureView)
ENTITIES = Kind(sql.entities, "entity_name", "entity_proto", EntityProto, Entity)
SERVICES = Kind(
    sql.feature_services, "feature_service_name", "feature_service_proto", FeatureServiceProto, FeatureService
)
