"""The offline store that `feature_store.yaml` names: Iceberg tables, read through the catalogs of its settings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import Field, field_validator

from asgard_feast.retrieval.historical import HistoricalRetrieval
from asgard_feast.retrieval.pins import Pins
from asgard_feast.retrieval.ranges import RangeColumns, RangeRetrieval
from asgard_feast.retrieval.scan import SnapshotOfTable


class IcebergOfflineStoreConfig(FeastConfigBaseModel):
    """`offline_store:` of `feature_store.yaml`."""

    type: str = "asgard_feast.offline.IcebergOfflineStore"
    catalogs: dict[str, dict[str, str]] = Field(default_factory=dict)
    """pyiceberg's properties of each catalog, by its name: the registry holds the name alone."""
    not_ready: str | None = None
    """Why the store cannot be used yet. Feast looks at these settings before it opens anything."""

    @field_validator("not_ready")
    @classmethod
    def _is_ready(cls, not_ready: str | None) -> None:
        if not_ready is not None:
            raise ValueError(not_ready)


class IcebergOfflineStore(OfflineStore):
    """Reads Feast's own `IcebergSource`, one snapshot of each table, and only the columns and times that are asked for.

    What a table holds is decided when a method is called; it is read when the job is asked for its rows.
    """

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **rest: Any,
    ) -> RetrievalJob:
        """The entity rows with what was known of them at their times, in the caller's order."""
        if not isinstance(entity_df, pd.DataFrame) or rest:
            what = "nothing" if entity_df is None else f"a {type(entity_df).__name__}"
            raise ValueError(f"entity_df must be a DataFrame with the entity keys and event_timestamp, and is {what}")
        return HistoricalRetrieval(
            config=config,
            feature_views=feature_views,
            feature_refs=feature_refs,
            entity_df=entity_df,
            on_demand=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            full_feature_names=full_feature_names,
            known_at_the_time=filter_by_created_timestamp,
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Of each join key the latest row from `start_date` to `end_date`, both included."""
        columns = RangeColumns(join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        table = SnapshotOfTable.open(config, data_source, Pins.of())
        return RangeRetrieval(table, columns, start_date, end_date, is_latest_only=True)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """All rows from `start_date` to `end_date`, both included."""
        columns = RangeColumns(join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        table = SnapshotOfTable.open(config, data_source, Pins.of())
        return RangeRetrieval(table, columns, start_date, end_date, is_latest_only=False)
