"""The point-in-time join: for each entity row the table's latest row at or before the entity row's time.

The table comes in batches, in any order, and is never held. What is held is in the order of the entity rows' number,
however many rows the table has. The entity rows lie sorted by key and time. A table's row becomes visible at one place
in that order: the first row of its key that is not before it. Each place keeps the number of the latest row that became
visible there. In the end each entity row takes the latest of the places of its key up to its own.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from asgard_feast.retrieval.clock import NEVER, Clock, order_of

_BEYOND = np.iinfo(np.int64).max


@dataclass(frozen=True)
class TimedRows:
    """A batch of a table's rows. Times are microseconds since 1970 in UTC, or NEVER."""

    first: int
    """The number of the batch's first row, from 0; those of the others follow."""
    keys: np.ndarray
    """int64: numbers of keys, none higher than the entity rows'; -1 matches nothing."""
    times: np.ndarray
    created: np.ndarray | None
    """Decides between rows of one key and time: the later wins. Of the same, and with None, the higher row's number."""


@dataclass(frozen=True)
class FoundRows:
    """Which of the table's rows belong to which entity rows."""

    numbers: np.ndarray
    """int64: the rows that belong to any, each once, ascending."""
    of_entities: np.ndarray
    """int32: for each entity row the position in `numbers`, or -1."""


class PointInTimeJoin:
    """Takes the table's batches, from any thread, and tells which row belongs to each entity row."""

    def __init__(self, keys: np.ndarray, times: np.ndarray, known_at_the_time: bool = False) -> None:
        """`keys`, `times`: int64, of each entity row; negative keys and NEVER match nothing.

        `known_at_the_time`: a row that was created after the entity row's time does not count, nor one without that
        time.
        """
        self._known_at_the_time = known_at_the_time
        self._entity_times = times
        # Those of rows without a time, too: the table's rows come with the numbers of all keys.
        key_count = int(keys.max(initial=-1)) + 1
        rows = np.flatnonzero((keys >= 0) & (times != NEVER)).astype(np.int32)
        keys, times = keys[rows], times[rows]
        of_key = np.bincount(keys, minlength=key_count + 1)
        self._starts = np.cumsum(of_key, dtype=np.int32) - of_key.astype(np.int32)  # by key: its first place
        self._is_asked = of_key > 0  # by key; the last one, which -1 takes, is nobody's
        # The halvings that find a place among a key's; they may look beyond the last place.
        self._steps = [2**step for step in reversed(range(int(of_key.max()).bit_length()))]
        del of_key  # what is not needed any more is given up at once: the next step's arrays are as large
        self._clock = Clock(times, 62 - len(self._starts).bit_length())
        codes = self._codes_of(keys, times)
        del keys, times
        order = order_of(codes)
        self._codes = np.full(len(order) + sum(self._steps) + 1, _BEYOND)  # by place
        self._codes[: len(order)] = codes[order]
        self._rows = rows[order]  # by place: the entity row
        # By place: the time, maybe when it was created, and the number of its row.
        self._best: list[np.ndarray] = []
        self._lock = threading.Lock()

    def _codes_of(self, keys: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Numbers that are ordered as keys are, and of one key as times are."""
        codes = keys << self._clock.bits
        codes |= self._clock.ticks(times)
        return codes

    def add(self, batch: TimedRows) -> None:
        """Takes some of the table's rows."""
        is_known = batch.times != NEVER
        visible = batch.times
        if self._known_at_the_time and batch.created is not None:
            is_known &= batch.created != NEVER
            visible = np.maximum(batch.times, batch.created)
        rows = np.flatnonzero(self._is_asked[batch.keys] & (visible <= self._clock.last) & is_known)
        places, is_seen = self._places(batch.keys[rows], visible[rows])
        seen = np.flatnonzero(is_seen)
        places, rows = places[seen], rows[seen]
        ranks = [batch.times[rows], rows + batch.first]
        if batch.created is not None:
            ranks.insert(1, batch.created[rows])
        self._keep(places, ranks)

    def _places(self, keys: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first place of each row's key that is not before it, all found at once, and whether there is one."""
        codes = self._codes_of(keys, visible)
        places = self._starts[keys].astype(np.int64)
        for step in self._steps:
            places += (self._codes[places + (step - 1)] < codes) * step
        return places, self._codes[places] >> self._clock.bits == keys

    def _keep(self, places: np.ndarray, ranks: list[np.ndarray]) -> None:
        """Each place keeps the row with the highest ranks, of which the first that differs decides."""
        if len(ranks) > 2 or np.any(ranks[0][1:] < ranks[0][:-1]):
            order = np.lexsort(ranks[-2::-1])  # numbers ascend already
            places, ranks = places[order], [rank[order] for rank in ranks]
        with self._lock:
            if not self._best:
                self._best = [np.full(len(self._rows), NEVER) for _ in ranks]
            better = np.flatnonzero(self._is_better(places, ranks))
            places = places[better]
            for best, rank in zip(self._best, ranks, strict=True):
                best[places] = rank[better]  # of several for one place the last one stays: the highest

    def _is_better(self, places: np.ndarray, ranks: list[np.ndarray]) -> np.ndarray:
        is_better, is_equal = np.zeros(len(places), bool), np.ones(len(places), bool)
        for best, rank in zip(self._best, ranks, strict=True):
            held = best[places]
            is_better |= is_equal & (rank > held)
            is_equal &= rank == held
            if not is_equal.any():
                break
        return is_better

    def found(self, max_age: int | None) -> FoundRows:
        """What belongs to the entity rows. `max_age`: in microseconds; a row of exactly that age counts."""
        of_entities = np.full(len(self._entity_times), -1, np.int32)
        if not self._best:
            return FoundRows(np.zeros(0, np.int64), of_entities)
        times, numbers = self._best[0], self._best[-1]
        latest = self._latest_places(np.flatnonzero(numbers >= 0))
        found = np.flatnonzero(latest >= 0).astype(np.int32)
        latest, rows = latest[found], self._rows[found]
        if max_age is not None:
            young = np.flatnonzero(self._entity_times[rows] - times[latest] <= max_age).astype(np.int32)
            latest, rows = latest[young], rows[young]
        is_taken = np.zeros(len(numbers), bool)
        is_taken[latest] = True
        taken = np.flatnonzero(is_taken).astype(np.int32)
        taken = taken[order_of(numbers[taken])]
        position = np.zeros(len(numbers), np.int32)
        position[taken] = np.arange(len(taken), dtype=np.int32)
        of_entities[rows] = position[latest]
        return FoundRows(numbers[taken], of_entities)

    def _latest_places(self, filled: np.ndarray) -> np.ndarray:
        """For each place the one of its key, up to itself, whose row is the latest; -1 where there is none."""
        if self._known_at_the_time:
            # Rows become visible in another order than that of their times, so the last place is not always the latest.
            keys = self._codes[filled] >> self._clock.bits
            filled = filled[np.lexsort([rank[filled] for rank in reversed(self._best)] + [keys])]
        places = np.full(len(self._rows), -1, np.int32)
        places[filled] = np.arange(len(filled), dtype=np.int32)
        np.maximum.accumulate(places, out=places)
        is_any = places >= 0
        places[is_any] = filled[places[is_any]]
        places[places < self._starts[self._codes[: len(places)] >> self._clock.bits]] = -1
        return places
