"""The point-in-time join: for each entity row the table's latest row at or before the entity row's time.

The table comes in batches, in any order, and is never held. What is held is in the order of the entity rows' number,
however many rows the table has. The entity rows lie sorted by key and time. A table's row becomes visible at one place
in that order: the first row of its key that is not before it. Each place keeps the latest row that became visible
there. In the end each entity row takes the latest of the places of its key up to its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from asgard_feast.retrieval.row_store import RowStore

NEVER = np.iinfo(np.int64).min
"""Stands for a missing time: earlier than any."""


@dataclass(frozen=True)
class TimedRows:
    """A batch of a table's rows. Times are microseconds since 1970 in UTC, or NEVER."""

    keys: np.ndarray
    """int64: numbers of keys from 0. A negative one, or one that no entity row has, matches nothing."""
    times: np.ndarray
    created: np.ndarray | None
    """Decides between rows of one key and time: the later wins. None: the row that comes last wins."""
    values: pa.RecordBatch


class PointInTimeJoin:
    """Takes the table's batches and tells which row belongs to each entity row."""

    def __init__(self, keys: np.ndarray, times: np.ndarray, schema: pa.Schema, known_at_the_time: bool = False) -> None:
        """`keys`, `times`: int64, of each entity row; negative keys and NEVER match nothing.

        `schema`: of the values. `known_at_the_time`: a row that was created after the
        entity row's time does not count, nor one without that time.
        """
        self._count = len(keys)
        self._known_at_the_time = known_at_the_time
        rows = np.flatnonzero((keys >= 0) & (times != NEVER))
        rows = rows[_order(keys[rows], times[rows])].astype(np.int32)
        self._rows = rows  # by place: the entity row
        self._times = times[rows]
        self._keys = keys[rows].astype(np.int32)
        self._distinct = int(keys.max(initial=-1)) + 1
        self._starts = np.zeros(self._distinct + 1, np.int32)  # by key: its first place; and behind the last
        np.cumsum(np.bincount(self._keys, minlength=self._distinct), out=self._starts[1:])
        self._best_times = np.full(len(rows), NEVER)
        self._best_created: np.ndarray | None = None
        self._winners = RowStore(len(rows), schema)

    def add(self, batch: TimedRows) -> None:
        """Takes the table's next rows."""
        rows = np.flatnonzero((batch.keys >= 0) & (batch.keys < self._distinct) & (batch.times != NEVER))
        visible = batch.times
        if self._known_at_the_time and batch.created is not None:
            rows = rows[batch.created[rows] != NEVER]
            visible = np.maximum(batch.times, batch.created)
        places, ends = self._places(batch.keys[rows], visible[rows])
        seen = np.flatnonzero(places < ends)
        places, rows = places[seen], rows[seen]
        places, rows = self._winning(places, rows, batch)
        self._winners.put(places, rows, batch.values)

    def _places(self, keys: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The place of each row by bisection, all at once, and the end of its key's places: equal where it has none."""
        low, high = self._starts[keys], self._starts[keys + 1]
        ends = high.copy()
        open_ones = np.flatnonzero(low < high)
        while len(open_ones):
            lows, highs = low[open_ones], high[open_ones]
            middle = lows + (highs - lows) // 2
            is_before = self._times[middle] < visible[open_ones]
            low[open_ones] = np.where(is_before, middle + 1, lows)
            high[open_ones] = np.where(is_before, highs, middle)
            open_ones = open_ones[low[open_ones] < high[open_ones]]
        return low, ends

    def _winning(self, places: np.ndarray, rows: np.ndarray, batch: TimedRows) -> tuple[np.ndarray, np.ndarray]:
        """The rows not behind what their places have or get in this batch; of equal ones the last is best."""
        times = batch.times[rows]
        before = self._best_times[places]
        np.maximum.at(self._best_times, places, times)
        best = np.flatnonzero(times == self._best_times[places])
        places, rows = places[best], rows[best]
        if batch.created is None:
            return places, rows
        if self._best_created is None:
            self._best_created = np.full(len(self._times), NEVER)
        self._best_created[places[before[best] < times[best]]] = NEVER
        created = batch.created[rows]
        np.maximum.at(self._best_created, places, created)
        best = np.flatnonzero(created == self._best_created[places])
        return places[best], rows[best]

    def result(self, max_age: int | None) -> pa.Table:
        """The values for each entity row, in the caller's order; null where no row is found, or only an older one.

        `max_age`: in microseconds; a row of exactly that age counts. Call it once: it gives up what is held.
        """
        places = self._latest_places()
        found = np.flatnonzero(places >= 0)
        if max_age is not None:
            found = found[self._times[found] - self._best_times[places[found]] <= max_age]
        of_rows = np.full(self._count, -1, np.int32)
        of_rows[self._rows[found]] = places[found]
        return self._winners.take(of_rows)

    def _latest_places(self) -> np.ndarray:
        """For each place the one of its key, up to itself, whose row is the latest; -1 where there is none."""
        filled = self._winners.filled()
        if self._known_at_the_time:
            # Rows become visible in another order than that of their times, so the last place is not always the latest.
            created = np.zeros(0) if self._best_created is None else self._best_created
            by = (created[filled],) if len(created) else ()
            filled = filled[np.lexsort((*by, self._best_times[filled], self._keys[filled]))]
        rank = np.full(len(self._rows), -1, np.int32)
        rank[filled] = np.arange(len(filled), dtype=np.int32)
        np.maximum.accumulate(rank, out=rank)
        places = np.where(rank >= 0, filled[rank], -1) if len(filled) else rank
        return np.where(places >= self._starts[self._keys], places, -1)


def _order(keys: np.ndarray, times: np.ndarray) -> np.ndarray:
    """By key, then time; equal ones in any order. One number for both is sorted three times as fast, where it fits."""
    if len(keys) == 0:
        return np.zeros(0, np.int64)
    first = int(times.min())
    time_bits = (int(times.max()) - first).bit_length()
    if time_bits + int(keys.max()).bit_length() > 63:
        return np.lexsort((times, keys))
    return np.argsort((keys.astype(np.int64) << time_bits) | (times - first))
