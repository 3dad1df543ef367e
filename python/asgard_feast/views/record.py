"""A feature view as the bridge tells of it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from feast import Entity, FeatureView, Field
from feast.infra.data_sources.contrib.iceberg_catalog.iceberg_source import IcebergSource
from feast.types import Int64, String
from feast.value_type import ValueType

from asgard_feast.views.definition import Definition
from asgard_feast.views.dtypes import from_feast, to_feast

ENTITY_TYPES = {"int64": (ValueType.INT64, Int64), "string": (ValueType.STRING, String)}


def record_of(view: FeatureView) -> dict[str, Any]:
    """A view of the registry, by the names that its definition has; times in ISO 8601."""
    return {
        "name": view.name,
        "entities": list(view.entities),
        "features": [
            {
                "name": field.name,
                "dtype": from_feast(field.dtype),
                "description": field.description,
                "tags": dict(field.tags),
            }
            for field in view.features
        ],
        "source": source_record(view.batch_source),
        "ttlSeconds": int(view.ttl.total_seconds()) if view.ttl else 0,
        "online": view.online,
        "description": view.description,
        "owner": view.owner,
        "tags": dict(view.tags),
        "version": view.current_version_number or 0,
        "createdAt": iso(view.created_timestamp),
        "updatedAt": iso(view.last_updated_timestamp),
    }


def source_record(source: Any) -> dict[str, Any]:
    """The table that a view reads; of a source that is none, as another client may have written, its name alone."""
    is_table = isinstance(source, IcebergSource)
    return {
        "catalog": source.catalog_name if is_table else "",
        "schema": source.namespace if is_table else "",
        "tableName": source.iceberg_table if is_table else (source.name if source is not None else ""),
        "timestampField": source.timestamp_field if source is not None else "",
        "createdTimestampColumn": (source.created_timestamp_column if source is not None else None) or None,
    }


def iso(time: datetime | None) -> str | None:
    """ISO 8601 in UTC, of a time of Feast's, which is UTC when it has no zone."""
    if time is None:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).astimezone(timezone.utc).isoformat()


def view_of(definition: Definition, entities: list[Entity]) -> FeatureView:
    """Feast's view of a definition that was checked."""
    keys = [Field(name=entity.join_key, dtype=_dtype_of(entity)) for entity in entities]
    features = [
        Field(name=feature.name, dtype=to_feast(feature.dtype), description=feature.description, tags=feature.tags)
        for feature in definition.features
    ]
    return FeatureView(
        name=definition.name,
        entities=entities,
        schema=keys + features,
        source=_source_of(definition),
        ttl=timedelta(seconds=definition.ttl_seconds),
        online=definition.online,
        description=definition.description,
        owner=definition.owner,
        tags=definition.tags,
    )


def entity_of(name: str, dtype: str) -> Entity:
    """An entity that is joined by the column of its name."""
    return Entity(name=name, join_keys=[name], value_type=ENTITY_TYPES[dtype][0])


def _dtype_of(entity: Entity) -> Any:
    return next(dtype for value_type, dtype in ENTITY_TYPES.values() if value_type == entity.value_type)


def _source_of(definition: Definition) -> IcebergSource:
    """Neither where the catalog is nor how to enter it: that stands in feature_store.yaml.

    Feast knows a source by its name, so the name tells one from another: views of one table may go by different times.
    """
    times = [name for name in (definition.timestamp_field, definition.created_timestamp_column) if name]
    return IcebergSource(
        name=f"{definition.table_name} by {', '.join(times)}"[:255],
        warehouse="",
        catalog_name=definition.catalog,
        namespace=definition.schema,
        table=definition.table,
        timestamp_field=definition.timestamp_field,
        created_timestamp_column=definition.created_timestamp_column or "",
        credential_vending=False,
    )
