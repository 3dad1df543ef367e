"""The offline store that `feature_store.yaml` names: Iceberg tables, read through the catalogs of its settings."""

from __future__ import annotations

from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from pydantic import Field


class IcebergOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """`offline_store:` of `feature_store.yaml`."""

    type: str = "asgard_feast.offline.IcebergOfflineStore"
    catalogs: dict[str, dict[str, str]] = Field(default_factory=dict)
    """pyiceberg's properties of each catalog, by its name: the registry holds the name alone."""


class IcebergOfflineStore(DuckDBOfflineStore):
    """Feast's store on DuckDB."""
