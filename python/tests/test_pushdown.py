"""What is read of a table's files: no file, row group or column that is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from feast import Field
from feast.types import Int64
from pyiceberg.io import InputFile
from pyiceberg.io.pyarrow import PyArrowFileIO

from tests.feature_shop import START, Shop, arrow

HOUR = timedelta(hours=1)
KEYS = ("customer_id", "event_timestamp")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """With a table of one customer, a row an hour: three files, one a day, of three row groups of eight hours."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    times = [START + hour * HOUR for hour in range(72)]
    numbers = {name: range(72) for name in ("wanted", "other", "unused")}
    rows = pd.DataFrame({"customer_id": 1, "event_timestamp": times, **numbers})
    properties = {"write.parquet.row-group-limit": "8"}
    table = shop.catalog.create_table("gold.hourly", arrow(rows[:0]).schema, properties=properties)
    for day in range(3):
        table.append(arrow(rows[day * 24 : day * 24 + 24]))
    shop.view("hourly", "hourly", [Field(name=name, dtype=Int64) for name in ("wanted", "other")], ttl=5 * HOUR)
    return shop


class Reads:
    """Notes what is read of data files, by Parquet's reader and by whoever opens them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: set[str] = set()
        self.parts: list[tuple[int, tuple[str, ...]]] = []
        """Row groups with the columns that were read of them, sorted: parts are read side by side."""
        new_input, iter_batches = PyArrowFileIO.new_input, pq.ParquetFile.iter_batches

        def opens(io: PyArrowFileIO, location: str) -> InputFile:
            if location.endswith(".parquet"):
                self.opened.add(Path(location).name)
            return new_input(io, location)

        def reads(file: pq.ParquetFile, size: int, groups: Sequence[int], columns: Sequence[str], **rest: Any) -> Any:
            self.parts += [(group, tuple(sorted(columns))) for group in groups]
            return iter_batches(file, size, groups, columns, **rest)

        monkeypatch.setattr(PyArrowFileIO, "new_input", opens)
        monkeypatch.setattr(pq.ParquetFile, "iter_batches", reads)


@pytest.mark.parametrize(
    ("customers", "hours", "values", "files", "of_keys", "of_values"),
    [
        # With the ttl of five hours, 5 to 12 o'clock is looked at; both rows that are found lie in the second group.
        ([1, 1], [10, 12], [34, 36], 1, [0, 1], [1]),
        ([1], [14], [38], 1, [1], [1]),
        # From the evening before, of which nothing is found.
        ([1, 1], [2, 23], [26, 47], 2, [0, 1, 2, 2], [0, 2]),
        ([99], [10], [-1], 1, [0, 1], []),
    ],
)
def test_only_what_entity_rows_need_is_read(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    customers: list[int],
    hours: list[int],
    values: list[int],
    files: int,
    of_keys: list[int],
    of_values: list[int],
) -> None:
    times = [START + timedelta(days=1) + hour * HOUR for hour in hours]
    entities = pd.DataFrame({"customer_id": customers, "event_timestamp": times})
    reads = Reads(monkeypatch)
    result = shop.store.get_historical_features(entity_df=entities, features=["hourly:wanted"]).to_df()
    assert result.wanted.fillna(-1).tolist() == values
    assert len(reads.opened) == files
    wanted = [*((group, KEYS) for group in of_keys), *((group, ("wanted",)) for group in of_values)]
    assert sorted(reads.parts) == sorted(wanted)


def test_only_what_lies_in_a_range_is_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    source = shop.store.get_feature_view("hourly").batch_source
    pull = shop.store._get_provider().offline_store.pull_all_from_table_or_query
    reads = Reads(monkeypatch)
    start, end = ((START + timedelta(days=2) + hour * HOUR).to_pydatetime() for hour in (9, 11))
    pulled = pull(shop.store.config, source, ["customer_id"], ["other"], "event_timestamp", None, start, end)
    assert pulled.to_arrow().column("other").to_pylist() == [57, 58, 59]
    assert len(reads.opened) == 1
    assert reads.parts == [(1, ("customer_id", "event_timestamp", "other"))]
