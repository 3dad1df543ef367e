"""Features for entity rows, by the platform's offline store or by Feast's own one, each in a process of its own.

    historical_features.py make FOLDER TABLE_ROWS ENTITY_ROWS
    historical_features.py retrieve FOLDER asgard|feast
    historical_features.py compare FOLDER

`retrieve` prints `{"seconds": …, "peakMib": …, "grownMib": …}`: the time of the call, which is the process's second,
the most memory that the process had, and how much of that was more than before any call, with the entity rows at hand.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from pyiceberg.catalog import load_catalog

if TYPE_CHECKING:
    from feast import FeatureStore

DAYS = 100
START_US = 1_735_689_600 * 10**6  # 2025-01-01
FEATURES = ["total_purchases", "avg_purchase_value", "days_since_last_purchase"]
VIEW, SMALL_VIEW = "customer_churn_features", "one_customer"
TABLES = {VIEW: "customer_metrics", SMALL_VIEW: "one_customer"}


def make(folder: Path, table_rows: int, entity_rows: int) -> None:
    """A table of ten rows a customer, appended in ten parts as time went by; one of one row; and the entity rows."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(1)
    customers, parts = table_rows // 10, 10
    catalog = load_catalog("iceberg", **_catalog(folder))
    catalog.create_namespace("gold")
    table = None
    for part in range(parts):
        count = table_rows // parts
        seconds = np.sort(random.integers(0, DAYS * 86_400 // parts, count)) + part * DAYS * 86_400 // parts
        rows = pa.table(
            {
                "customer_id": random.integers(0, customers, count),
                # No two rows of one customer have one time: which of them counted, Feast's own store leaves to chance.
                "event_timestamp": pa.array(
                    START_US + seconds * 10**6 + np.arange(count) % 10**6, pa.timestamp("us", "UTC")
                ),
                "total_purchases": random.integers(0, 1000, count),
                "avg_purchase_value": random.random(count),
                "days_since_last_purchase": random.integers(0, 365, count).astype("int32"),
            }
        )
        table = table or catalog.create_table(f"gold.{TABLES[VIEW]}", rows.schema)
        table.append(rows)
    catalog.create_table(f"gold.{TABLES[SMALL_VIEW]}", rows.schema).append(rows[:1])
    np.save(folder / "customers.npy", random.integers(0, customers, entity_rows))
    np.save(folder / "times.npy", START_US + random.integers(0, DAYS * 86_400, entity_rows) * 10**6)


def retrieve(folder: Path, who: str) -> None:
    """The guide's call, after one for a table of one row, in which either side loads the modules that it needs."""
    store = _store(folder, who)
    entity_df = pd.DataFrame(
        {
            "customer_id": np.load(folder / "customers.npy"),
            "event_timestamp": np.load(folder / "times.npy").view("datetime64[us]"),
        }
    )
    entity_df["target"] = np.arange(len(entity_df), dtype="int32")
    before = _memory_mib("VmRSS")
    _features(store, SMALL_VIEW, entity_df[:1])
    started = time.perf_counter()
    training_df = _features(store, VIEW, entity_df)
    seconds = time.perf_counter() - started
    peak = _memory_mib("VmHWM")
    training_df.to_parquet(folder / f"{who}.parquet")
    print(json.dumps({"seconds": seconds, "peakMib": peak, "grownMib": peak - before}))


def compare(folder: Path) -> None:
    """Fails unless both gave the same rows; their order is theirs."""
    first, second = (
        pd.read_parquet(folder / f"{who}.parquet").sort_values("target", ignore_index=True)
        for who in ("asgard", "feast")
    )
    pd.testing.assert_frame_equal(first, second)
    if first[FEATURES[0]].notna().mean() < 0.5:
        raise SystemExit("most entity rows have no features: that is not what is measured")


def _features(store: FeatureStore, view: str, entity_df: pd.DataFrame) -> pd.DataFrame:
    return store.get_historical_features(entity_df=entity_df, features=[f"{view}:{name}" for name in FEATURES]).to_df()


def _store(folder: Path, who: str) -> FeatureStore:
    from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig
    from feast.infra.data_sources.contrib.iceberg_catalog.iceberg_source import IcebergSource
    from feast.types import Float64, Int32, Int64
    from feast.value_type import ValueType

    ours = {"type": "asgard_feast.offline.IcebergOfflineStore", "catalogs": {"iceberg": _catalog(folder)}}
    store = FeatureStore(
        config=RepoConfig(
            project="asgard",
            provider="local",
            registry=str(folder / f"{who}.db"),
            offline_store=ours if who == "asgard" else {"type": "duckdb"},
            online_store=None,
            entity_key_serialization_version=3,
        )
    )
    customer = Entity(name="customer_id", join_keys=["customer_id"], value_type=ValueType.INT64)
    views = [
        FeatureView(
            name=view,
            entities=[customer],
            ttl=timedelta(days=365),
            source=IcebergSource(
                name=f"iceberg.gold.{table}",
                warehouse="",
                namespace="gold",
                table=table,
                catalog_type="sql",
                catalog_name="iceberg",
                catalog_properties=_catalog(folder),
                timestamp_field="event_timestamp",
                credential_vending=False,
            ),
            schema=[
                Field(name=name, dtype=dtype) for name, dtype in zip(FEATURES, (Int64, Float64, Int32), strict=True)
            ],
        )
        for view, table in TABLES.items()
    ]
    store.apply([customer, *views])
    return store


def _catalog(folder: Path) -> dict[str, str]:
    return {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/warehouse"}


def _memory_mib(name: str) -> float:
    """`VmRSS`: now; `VmHWM`: the most so far."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


COMMANDS = {
    "make": lambda folder, rows, entity_rows: make(folder, int(rows), int(entity_rows)),
    "retrieve": retrieve,
    "compare": compare,
}
COMMANDS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
