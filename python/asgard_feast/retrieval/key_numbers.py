"""The keys of the entity rows as numbers, so that a table's rows are matched without comparing keys of any type."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

NO_KEY = -1
_NUMBERS_A_KEY = 8
"""Whole numbers that lie so close together are their own numbers: a hash table takes as much memory or more."""

_Lookup = Callable[[np.ndarray], np.ndarray]


class KeyNumbers:
    """Numbers the keys from 0, where a key has one or more columns, or none: then all rows have the key 0.

    Equal keys have one number, and there are not many more numbers than rows. A null in any column is no key, here and
    in the table.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[_Lookup, int, _Lookup | None]] = []

    def number(self, columns: Sequence[pa.Array], count: int) -> np.ndarray:
        """The numbers of the entity rows' keys, or NO_KEY. `columns`: one a key column, each of `count` values."""
        numbers = np.zeros(count, np.int64)
        for position, column in enumerate(columns):
            lookup, values = _numbering(column)
            own = _found(lookup, column)
            pairs = None
            if position == 0:
                numbers = own
            else:
                numbers = _pairs(numbers, own, values)
                pairs, _ = _numbering(pa.array(numbers, mask=numbers < 0))
                numbers = pairs(numbers)
            self._steps.append((lookup, values, pairs))
        return numbers

    def find(self, columns: Sequence[pa.Array], count: int) -> np.ndarray:
        """The number of each of a table's keys, or one that no entity row has. The columns' types are the same."""
        numbers = np.zeros(count, np.int64)
        for column, (lookup, values, pairs) in zip(columns, self._steps, strict=True):
            own = _found(lookup, column)
            numbers = own if pairs is None else pairs(_pairs(numbers, own, values))
        return numbers


def common_type(entity: pa.DataType, table: pa.DataType) -> pa.DataType | None:
    """The type in which keys of both types are equal when they are the same key; None when they cannot be."""
    if pt.is_null(entity):
        return common_type(table, table)
    if pt.is_dictionary(entity):
        return common_type(entity.value_type, table)
    if pt.is_integer(table) and (pt.is_integer(entity) or pt.is_floating(entity)):
        return pa.int64()  # whole numbers are floats in a DataFrame that lacks some
    if pt.is_floating(table) and (pt.is_integer(entity) or pt.is_floating(entity)):
        return pa.float64()
    for is_kind, common in _KINDS:
        if is_kind(entity) and is_kind(table):
            return common
    return table if entity == table else None


def as_key(column: pa.Array | pa.ChunkedArray, key_type: pa.DataType) -> pa.Array:
    """The column in the common type. A number with a fraction is no whole number's key: it becomes null."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pt.is_floating(array.type) and pt.is_integer(key_type):
        is_whole = pc.and_(pc.is_finite(array), pc.equal(pc.floor(array), array))
        array = pc.if_else(is_whole, array, pa.scalar(None, array.type))
    return array if array.type == key_type else pc.cast(array, key_type, safe=False)


_KINDS: tuple[tuple[Callable[[pa.DataType], bool], pa.DataType], ...] = (
    (lambda t: pt.is_string(t) or pt.is_large_string(t), pa.string()),
    (lambda t: pt.is_binary(t) or pt.is_large_binary(t) or pt.is_fixed_size_binary(t), pa.binary()),
    (pt.is_boolean, pa.bool_()),
    (pt.is_date, pa.date32()),
    (pt.is_timestamp, pa.timestamp("us")),
)


def _pairs(first: np.ndarray, second: np.ndarray, second_count: int) -> np.ndarray:
    """One number for each pair of numbers. Both are numbers of rows in memory, so it fits into 63 bits."""
    return np.where((first < 0) | (second < 0), NO_KEY, first * second_count + second)


def _numbering(column: pa.Array) -> tuple[_Lookup, int]:
    """What finds the number of a value, NO_KEY when the column has it not, and how many numbers there may be."""
    if pt.is_int64(column.type):
        bounds = pc.min_max(column)
        low, high = bounds["min"].as_py(), bounds["max"].as_py()
        if low is not None and high - low < _NUMBERS_A_KEY * len(column):
            return lambda wanted: np.where((wanted >= low) & (wanted <= high), wanted - low, NO_KEY), high - low + 1
    index = pd.Index(pd.unique(_values(column.drop_null())))
    index.get_indexer(index[:1])  # builds its hash table, which threads must not do at once
    return lambda wanted: index.get_indexer(wanted).astype(np.int64, copy=False), len(index)


def _found(lookup: _Lookup, column: pa.Array) -> np.ndarray:
    numbers = lookup(_values(column))
    if column.null_count:
        numbers[column.is_null().to_numpy(zero_copy_only=False)] = NO_KEY
    return numbers


def _values(column: pa.Array) -> np.ndarray:
    """The values as numbers where they can be: hashed faster than objects. What stands in place of nulls counts not."""
    if pt.is_date32(column.type):
        column = column.cast(pa.int32())
    if pt.is_temporal(column.type) or pt.is_boolean(column.type):
        column = column.cast(pa.int64())
    if pt.is_integer(column.type) or pt.is_floating(column.type):
        column = column.fill_null(0) if column.null_count else column  # which copies
    return column.to_numpy(zero_copy_only=False)
