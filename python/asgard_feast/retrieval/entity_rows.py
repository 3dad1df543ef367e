"""The rows that a caller wants features for: keys, and the time at which what was known is asked for."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

from asgard_feast.retrieval.clock import NEVER

_ARROW_TIME = pa.timestamp("us", "UTC")


class EntityRows:
    """A caller's DataFrame, as columns. Its index is not looked at; what it holds besides keys and time stays in it."""

    def __init__(self, frame: pd.DataFrame) -> None:
        """Raises ValueError when no column can be the time, and Feast's error when there are several such."""
        self.time_column = infer_event_timestamp_from_entity_df(dict(zip(frame.columns, frame.dtypes, strict=True)))
        times = _times(frame[self.time_column], self.time_column)
        columns = {name: times if name == self.time_column else _column(frame[name]) for name in frame.columns}
        self.table = pa.table(columns)
        """The caller's columns in their order, the time as microseconds in UTC."""
        numbers = times.cast(pa.int64())
        self.times = (numbers.fill_null(NEVER) if numbers.null_count else numbers).to_numpy()
        """int64: microseconds since 1970 in UTC, or NEVER."""

    @property
    def first(self) -> datetime | None:
        """The earliest time."""
        known = self.times[self.times != NEVER]
        return _datetime(known.min()) if len(known) else None

    @property
    def last(self) -> datetime | None:
        """The latest time."""
        return _datetime(self.times.max()) if len(self.times) and self.times.max() != NEVER else None


def _times(column: pd.Series, name: str) -> pa.Array:
    if pd.api.types.is_numeric_dtype(column) and len(column):
        raise ValueError(f"{name} of entity_df is {column.dtype}, which is no time; pandas.to_datetime makes one of it")
    if not isinstance(column.dtype, pd.DatetimeTZDtype):
        column = pd.to_datetime(column, utc=True)  # a time without offset means UTC, as in Feast
    return _column(column).cast(_ARROW_TIME, safe=False)  # nanoseconds beyond the table's microseconds are cut off


def _column(series: pd.Series) -> pa.Array:
    """Numbers stay where they are: nothing is copied."""
    try:
        array = pa.Array.from_pandas(series)
    except pa.ArrowException as error:
        raise ValueError(f"{series.name} of entity_df cannot be taken: {error}") from error
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _datetime(microseconds: np.int64) -> datetime:
    return datetime.fromtimestamp(0, timezone.utc) + pd.Timedelta(int(microseconds), "us").to_pytimedelta()
