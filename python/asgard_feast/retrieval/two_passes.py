"""How the point-in-time join reads a table: the keys and times of all rows first, then the values of those it found.

So no value is moved that nobody gets, and parts without any are not read a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from asgard_feast.retrieval.clock import NEVER
from asgard_feast.retrieval.key_numbers import KeyNumbers, as_key
from asgard_feast.retrieval.parts import Part, in_threads
from asgard_feast.retrieval.point_in_time import FoundRows, PointInTimeJoin, TimedRows

_TIME = pa.timestamp("us")


@dataclass(frozen=True)
class TimedKeys:
    """What decides which of a table's rows belong to which entity rows."""

    numbers: KeyNumbers
    types: dict[str, pa.DataType]
    """By key column of the table, in the order of `numbers`: the type in which it is compared."""
    time: str
    created: str | None

    def of(self, part: Part) -> Iterator[TimedRows]:
        """The part's rows."""
        first = part.first
        columns = [*self.types, self.time, *filter(None, [self.created])]
        for batch in part.read(list(dict.fromkeys(columns))):
            own = [as_key(batch.column(name), key_type) for name, key_type in self.types.items()]
            yield TimedRows(
                first=first,
                keys=self.numbers.find(own, batch.num_rows),
                times=microseconds(batch.column(self.time)),
                created=None if self.created is None else microseconds(batch.column(self.created)),
            )
            first += batch.num_rows


def find(join: PointInTimeJoin, keys: TimedKeys, parts: Iterable[Part]) -> list[Part]:
    """Shows all rows of the parts to the join, and gives the parts."""

    def add(part: Part) -> Part:
        for rows in keys.of(part):
            join.add(rows)
        return part

    return list(in_threads(add, parts))


def values(found: FoundRows, parts: list[Part], schema: pa.Schema) -> pa.Table:
    """The columns of `schema` for each entity row; null where it has none."""

    def take(part: Part) -> list[pa.RecordBatch]:
        first, taken = part.first, []
        for batch in part.read(schema.names):
            start, end = np.searchsorted(found.numbers, [first, first + batch.num_rows])
            if start < end:
                taken.append(batch.take(pa.array(found.numbers[start:end] - first)))
            first += batch.num_rows
        return taken

    bounds = np.searchsorted(found.numbers, [[part.first, part.end] for part in parts])
    needed = [part for part, (start, end) in zip(parts, bounds, strict=True) if start < end]
    rows = pa.Table.from_batches([batch for taken in in_threads(take, needed) for batch in taken], schema)
    positions = pa.array(found.of_entities, mask=found.of_entities < 0)
    columns = []
    for name in schema.names:
        columns.append(rows.column(name).combine_chunks().take(positions))
        rows = rows.drop_columns([name])
    return pa.Table.from_arrays(columns, schema=schema)


def microseconds(column: pa.Array) -> np.ndarray:
    """Times as int64 since 1970 in UTC, where a time without offset and a date mean UTC; NEVER for nulls."""
    if not pt.is_timestamp(column.type) and not pt.is_date(column.type):
        raise ValueError(f"a column of {column.type} holds no times")
    unit = column.type.unit if pt.is_timestamp(column.type) else None
    exact = column if unit == "us" else column.cast(_TIME, safe=False)
    return exact.cast(pa.int64()).fill_null(NEVER).to_numpy(zero_copy_only=False)
