"""A feature store on real Iceberg tables, for tests of what reads them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig
from feast.infra.data_sources.contrib.iceberg_catalog.iceberg_source import IcebergSource
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

from tests.iceberg_tables import catalog_properties, delete_positions, new_catalog

DAY = timedelta(days=1)
START = pd.Timestamp("2025-01-01", tz="UTC")


class Shop:
    """Two tables that have been appended to, overwritten and deleted from, and the feature views over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.properties = catalog_properties(folder)
        self.catalog = new_catalog(folder)
        self.store = self._store(
            {"type": "asgard_feast.offline.IcebergOfflineStore", "catalogs": {"iceberg": self.properties}}
        )
        self.stock = self._store({"type": "duckdb"})
        self.rows = {"metrics": self._metrics(), "regional": self._regional()}
        self.customer = Entity(name="customer_id", join_keys=["customer_id"], value_type=ValueType.INT64)
        self.region = Entity(name="region", join_keys=["region"], value_type=ValueType.STRING)
        self.metrics = FeatureView(
            name="metrics",
            entities=[self.customer],
            ttl=3 * DAY,
            source=self.source("metrics", created_timestamp_column="created"),
            schema=[Field(name="total", dtype=Int64), Field(name="average", dtype=Float64)],
        )
        self.regional = FeatureView(
            name="regional",
            entities=[self.customer, self.region],
            source=self.source("regional"),
            schema=[Field(name="visits", dtype=Int64), Field(name="label", dtype=String)],
        )
        self.store.apply([self.customer, self.region, self.metrics, self.regional])

    def _store(self, offline_store: dict) -> FeatureStore:
        return FeatureStore(
            config=RepoConfig(
                project="asgard",
                provider="local",
                registry=str(self.folder / "registry.db"),
                offline_store=offline_store,
                online_store=None,
                entity_key_serialization_version=3,
            )
        )

    def source(self, table: str, **options: str | dict[str, str]) -> IcebergSource:
        """Its properties are for Feast's own store: ours has them in its settings."""
        options = {"timestamp_field": "event_timestamp", **options}
        return IcebergSource(
            name=f"iceberg.gold.{table}",
            warehouse="",
            namespace="gold",
            table=table,
            catalog_type="sql",
            catalog_name="iceberg",
            catalog_properties=self.properties,
            credential_vending=False,
            **options,
        )

    def _metrics(self) -> pd.DataFrame:
        """One key; times with offset, several rows of one time, rows of one table deleted in each way that there is."""
        random = np.random.default_rng(1)
        rows = pd.DataFrame(
            {
                "customer_id": random.integers(0, 40, 3000),
                "event_timestamp": START + pd.to_timedelta(random.integers(0, 20 * 24, 3000), "h"),
                "total": random.integers(0, 1000, 3000),
                "average": np.where(random.random(3000) < 0.1, np.nan, random.random(3000)),
                "unused": [f"row {number}" for number in range(3000)],
            }
        )
        rows["created"] = rows.event_timestamp + pd.to_timedelta(random.permutation(3000), "min")
        table = self.catalog.create_table("gold.metrics", arrow(rows[:0]).schema)
        for start in range(0, 3000, 1000):
            table.append(arrow(rows[start : start + 1000]))
        table.delete("customer_id = 3 or total < 20")
        rows = rows[(rows.customer_id != 3) & (rows.total >= 20)]
        again = rows[rows.customer_id == 5].assign(total=lambda frame: frame.total + 5000)
        table.overwrite(arrow(again), "customer_id = 5")
        rows = pd.concat([rows[rows.customer_id != 5], again])
        task = max(table.scan().plan_files(), key=lambda task: task.file.record_count)
        held = pq.read_table(task.file.file_path.removeprefix("file://")).to_pandas()
        gone = held.iloc[::3]
        delete_positions(table, task.file.file_path, gone.index.tolist())
        return rows[~rows.unused.isin(gone.unused)]

    def _regional(self) -> pd.DataFrame:
        """Two keys, one of them text; times without offset; no two rows of one key and time."""
        random = np.random.default_rng(2)
        rows = pd.DataFrame(
            {
                "customer_id": random.integers(0, 30, 1500).astype("int32"),
                "region": random.choice(["north", "south", "østre"], 1500),
                "event_timestamp": pd.Timestamp("2025-01-01") + pd.to_timedelta(random.permutation(1500), "min"),
                "visits": random.integers(0, 9, 1500),
                "label": random.choice(["a", "b", None], 1500),
            }
        )
        table = self.catalog.create_table("gold.regional", arrow(rows[:0]).schema)
        table.append(arrow(rows))
        table.delete("visits = 4")
        return rows[rows.visits != 4]

    def table(self, name: str, rows: pd.DataFrame) -> None:
        self.catalog.create_table(f"gold.{name}", arrow(rows[:0]).schema).append(arrow(rows))

    def view(self, name: str, table: str, schema: list[Field], ttl: timedelta | None = None, **source: str) -> None:
        self.store.apply(
            [
                FeatureView(
                    name=name, entities=[self.customer], ttl=ttl, source=self.source(table, **source), schema=schema
                )
            ]
        )


def arrow(frame: pd.DataFrame) -> pa.Table:
    """As pyiceberg takes it: microseconds."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pa.timestamp("us", field.type.tz)))
        elif pa.types.is_null(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pa.string()))
    return table
