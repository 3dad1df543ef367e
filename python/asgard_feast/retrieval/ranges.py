"""What is pulled out of a table for materialization: the rows of a time range, all or the latest of each key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView

from asgard_feast.retrieval.clock import NEVER
from asgard_feast.retrieval.key_numbers import KeyNumbers, as_key
from asgard_feast.retrieval.parts import TimeRange
from asgard_feast.retrieval.point_in_time import PointInTimeJoin
from asgard_feast.retrieval.scan import SnapshotOfTable
from asgard_feast.retrieval.two_passes import TimedKeys, find, microseconds, values

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_MIN_ROWS = 100_000


@dataclass(frozen=True)
class RangeColumns:
    """Columns of a table: the result has them in this order."""

    keys: list[str]
    features: list[str]
    time: str
    created: str | None

    @property
    def all(self) -> list[str]:
        """Each once."""
        return list(dict.fromkeys([*self.keys, *self.features, self.time, *filter(None, [self.created])]))


class RangeRetrieval(RetrievalJob):
    """Rows whose time is in a range, both ends included; a time without offset means UTC."""

    def __init__(
        self,
        table: SnapshotOfTable,
        columns: RangeColumns,
        start: datetime | None,
        end: datetime | None,
        is_latest_only: bool,
    ) -> None:
        """Raises ValueError when the table lacks a column. With `is_latest_only` rows without a key are left out."""
        super().__init__()
        self._table = table
        self._columns = columns
        self._schema = table.schema(columns.all)
        self._range = TimeRange(_in_utc(start), _in_utc(end))
        self._is_latest_only = is_latest_only

    @property
    def full_feature_names(self) -> bool:
        """Columns have their names in the table."""
        return False

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """None: this is one table."""
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """None: no features are named."""
        return None

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        if self._is_latest_only:
            return self._latest()
        return pa.Table.from_batches(self._in_range(self._columns.all), self._schema)

    def _latest(self) -> pa.Table:
        """Looks for the keys first, so that no more than one row of each is held afterwards."""
        columns = self._columns
        distinct = self._distinct_keys()
        key_types = {name: _key_type(self._schema.field(name).type) for name in columns.keys}
        own = [as_key(distinct.column(name), key_type) for name, key_type in key_types.items()]
        numbers = KeyNumbers()
        latest = _microseconds(self._range.last) if self._range.last else np.iinfo(np.int64).max
        join = PointInTimeJoin(numbers.number(own, distinct.num_rows), np.full(distinct.num_rows, latest))
        keys = TimedKeys(numbers, key_types, columns.time, columns.created)
        parts = find(join, keys, self._table.parts(columns.all, columns.time, self._range))
        return values(join.found(max_age=None), parts, self._schema)

    def _distinct_keys(self) -> pa.Table:
        names = self._columns.keys
        found = self._table.schema(names).empty_table()
        waiting = [found]
        for batch in self._in_range(list(dict.fromkeys([*names, self._columns.time]))):
            waiting.append(pa.Table.from_batches([batch]).select(names).drop_null())
            if sum(map(len, waiting)) > 2 * max(len(found), _MIN_ROWS):
                found = _distinct(waiting)
                waiting = [found]
        return _distinct(waiting)

    def _in_range(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        first, last = self._range.first, self._range.last
        from_time = NEVER + 1 if first is None else _microseconds(first)
        parts = self._table.parts(columns, self._columns.time, self._range)
        for batch in (batch for part in parts for batch in part.read(columns)):
            times = microseconds(batch.column(self._columns.time))
            is_in = times >= from_time
            if last is not None:
                is_in &= times <= _microseconds(last)
            yield batch if is_in.all() else batch.filter(pa.array(is_in))


def _distinct(tables: list[pa.Table]) -> pa.Table:
    together = pa.concat_tables(tables)
    return together.group_by(together.column_names, use_threads=False).aggregate([])


def _key_type(column: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_large_string(column) else column


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
