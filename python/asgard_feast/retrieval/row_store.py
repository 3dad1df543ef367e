"""Rows that are replaced by better ones: of a table that comes in batches, those that are still wanted."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

_SPARE = 0.5
"""Replaced values are dropped when there are so many of them for each place. More takes memory, less takes time."""
_SPARE_ROWS = 10_000


class RowStore:
    """One row for each place, of any columns. Numbers take no more than the result does; others half as much more."""

    def __init__(self, places: int, schema: pa.Schema) -> None:
        self._last = np.full(places, -1, np.int32)
        self._schema = schema
        self._columns: list[_Column] = []
        for field in schema:
            stored = _stored_type(field.type)
            self._columns.append(
                _Objects(field.type, places) if stored is None else _Numbers(field.type, stored, places)
            )

    def put(self, places: np.ndarray, rows: np.ndarray, batch: pa.RecordBatch) -> None:
        """Puts rows of `batch` at places. Of several for one place the last one stays."""
        numbers = np.arange(len(rows), dtype=np.int32)
        np.maximum.at(self._last, places, numbers)
        stays = np.flatnonzero(self._last[places] == numbers)
        places, rows = places[stays], rows[stays]
        self._last[places] = 0
        for column, values in zip(self._columns, batch.columns, strict=True):
            column.put(places, rows, values)

    def filled(self) -> np.ndarray:
        """The places that have a row, ascending."""
        return np.flatnonzero(self._last >= 0)

    def take(self, places: np.ndarray) -> pa.Table:
        """The rows at these places; nulls for -1. Gives up what it holds."""
        is_missing = places < 0
        arrays = []
        while self._columns:
            arrays.append(self._columns.pop(0).take(places, is_missing))
        return pa.Table.from_arrays(arrays, schema=self._schema)


class _Column(Protocol):
    def put(self, places: np.ndarray, rows: np.ndarray, values: pa.Array) -> None: ...

    def take(self, places: np.ndarray, is_missing: np.ndarray) -> pa.Array | pa.ChunkedArray: ...


class _Numbers:
    """Values that are numbers in memory, in an array of their own."""

    def __init__(self, value_type: pa.DataType, stored: pa.DataType, places: int) -> None:
        self._type = value_type
        self._stored = stored
        self._values = np.zeros(places, stored.to_pandas_dtype())
        self._is_null: np.ndarray | None = None

    def put(self, places: np.ndarray, rows: np.ndarray, values: pa.Array) -> None:
        stored = values.cast(self._stored)
        if stored.null_count and self._is_null is None:
            self._is_null = np.zeros(len(self._values), bool)
        if self._is_null is not None:
            self._is_null[places] = stored.is_null().to_numpy(zero_copy_only=False)[rows]
        self._values[places] = stored.fill_null(0).to_numpy(zero_copy_only=False)[rows]

    def take(self, places: np.ndarray, is_missing: np.ndarray) -> pa.Array:
        if len(self._values) == 0:
            return pa.nulls(len(places), self._type)
        mask = is_missing if self._is_null is None else is_missing | self._is_null[places]
        return pa.array(self._values[places], self._stored, mask=mask).cast(self._type)


class _Objects:
    """Values of other types, as Arrow has them: those that were put last, and some that are replaced."""

    def __init__(self, value_type: pa.DataType, places: int) -> None:
        self._chunks = pa.chunked_array([], value_type)
        self._row_of = np.full(places, -1, np.int32)
        self._limit = int(places * (1 + _SPARE)) + _SPARE_ROWS

    def put(self, places: np.ndarray, rows: np.ndarray, values: pa.Array) -> None:
        self._row_of[places] = len(self._chunks) + np.arange(len(places), dtype=np.int32)
        self._chunks = pa.chunked_array([*self._chunks.chunks, values.take(pa.array(rows))])
        if len(self._chunks) > self._limit:
            filled = np.flatnonzero(self._row_of >= 0)
            self._chunks = self._chunks.take(pa.array(self._row_of[filled]))
            self._row_of[filled] = np.arange(len(filled), dtype=np.int32)

    def take(self, places: np.ndarray, is_missing: np.ndarray) -> pa.ChunkedArray:
        rows = self._row_of[places] if len(self._row_of) else places
        return self._chunks.take(pa.array(rows, mask=is_missing))


def _stored_type(value_type: pa.DataType) -> pa.DataType | None:
    """The numbers that a type is in memory; None when it is something else."""
    if pt.is_integer(value_type) or pt.is_float32(value_type) or pt.is_float64(value_type):
        return value_type
    if pt.is_boolean(value_type):
        return pa.uint8()
    if pt.is_date32(value_type):
        return pa.int32()
    return pa.int64() if pt.is_timestamp(value_type) or pt.is_time64(value_type) else None
