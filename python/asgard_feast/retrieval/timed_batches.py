"""A table's batches as the point-in-time join takes them: keys as numbers, times as integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from asgard_feast.retrieval.key_numbers import KeyNumbers, as_key
from asgard_feast.retrieval.point_in_time import NEVER, TimedRows

_TIME = pa.timestamp("us")


def timed_batches(
    batches: Iterator[pa.RecordBatch],
    keys: KeyNumbers,
    key_types: dict[str, pa.DataType],
    time: str,
    created: str | None,
    values: Sequence[str],
) -> Iterator[TimedRows]:
    """`key_types`: by column, in the order of `keys`. `time`, `created`: columns. `values`: the columns to keep."""
    for batch in batches:
        columns = [as_key(batch.column(name), key_type) for name, key_type in key_types.items()]
        yield TimedRows(
            keys=keys.find(columns, batch.num_rows),
            times=microseconds(batch.column(time)),
            created=None if created is None else microseconds(batch.column(created)),
            values=batch.select(list(values)),
        )


def microseconds(column: pa.Array) -> np.ndarray:
    """Times as int64 since 1970 in UTC, where a time without offset and a date mean UTC; NEVER for nulls."""
    if not pt.is_timestamp(column.type) and not pt.is_date(column.type):
        raise ValueError(f"a column of {column.type} holds no times")
    unit = column.type.unit if pt.is_timestamp(column.type) else None
    exact = column if unit == "us" else column.cast(_TIME, safe=False)
    return exact.cast(pa.int64()).fill_null(NEVER).to_numpy(zero_copy_only=False)
