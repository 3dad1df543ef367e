"""Which columns of which table a feature view needs for what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView


@dataclass(frozen=True)
class ViewColumns:
    """A view's features as they are retrieved. Names of columns are the table's, unless said otherwise."""

    view: str
    """As the caller names it: with its alias or version."""
    registered: str
    """Its name in the registry."""
    source: DataSource | None
    join_keys: dict[str, str]
    """Name of a join key to the entity_df's column."""
    keys: dict[str, str]
    """Column with a join key to the entity_df's column. Empty for a view without entities."""
    features: dict[str, str]
    """Name of a feature to its column."""
    results: list[str]
    """What each feature is called in the result, in the order of `features`."""
    time: str
    created: str | None
    ttl: timedelta | None

    @property
    def read(self) -> list[str]:
        """All columns to read, each once."""
        return list(dict.fromkeys([*self.keys, self.time, *filter(None, [self.created]), *self.features.values()]))

    @staticmethod
    def of(view: FeatureView, feature_refs: list[str], full_feature_names: bool) -> ViewColumns:
        """What of `feature_refs` (`view:feature`) is this view's."""
        source, projection = view.batch_source, view.projection
        if source is None:
            raise ValueError(f"the feature view {view.name} has no table")
        asked = [ref.split(":", 1) for ref in feature_refs]
        names = [feature for of, feature in asked if of.removesuffix("@latest") == projection.name_to_use()]
        column_of = {mapped: column for column, mapped in source.field_mapping.items()}
        prefix = f"{projection.name_alias or view.name}__" if full_feature_names else ""
        joined = [field.name for field in view.entity_columns if field.name != DUMMY_ENTITY_ID]
        join_keys = {key: projection.join_key_map.get(key, key) for key in joined}
        return ViewColumns(
            view=projection.name_to_use(),
            registered=view.name,
            source=source,
            join_keys=join_keys,
            keys={column_of.get(key, key): column for key, column in join_keys.items()},
            features={name: column_of.get(name, name) for name in names},
            results=[f"{prefix}{name}" for name in names],
            time=column_of.get(source.timestamp_field, source.timestamp_field),
            created=column_of.get(source.created_timestamp_column, source.created_timestamp_column) or None,
            ttl=view.ttl or None,
        )
