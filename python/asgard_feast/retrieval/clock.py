"""Times as numbers that are so small that one with a key beside it is one whole number."""

from __future__ import annotations

import numpy as np

NEVER = np.iinfo(np.int64).min
"""Stands for a missing time: earlier than any."""


class Clock:
    """Ticks at each of some times, and maybe in between, when they all are whole seconds for instance."""

    def __init__(self, times: np.ndarray, max_bits: int) -> None:
        """`times`: int64. `max_bits`: what a tick may take; enough to number the times."""
        self._moments: np.ndarray | None = None
        first, self.last = (int(times.min()), int(times.max())) if len(times) else (0, NEVER)
        self._first, self._unit = first, 1
        if self.last - first < 2**62:
            self._unit = max(int(np.gcd.reduce(times - first)), 1)
        self.bits = max((self.last - first) // self._unit, 0).bit_length()
        if self.bits > max_bits:
            self._moments = np.sort(times)  # of equal ones the first counts: `unique` takes ten times as long
            self.bits = len(self._moments).bit_length()

    def ticks(self, times: np.ndarray) -> np.ndarray:
        """The first tick that is not before each time, none of which may be after the last one."""
        if self._moments is not None:
            return np.searchsorted(self._moments, times)
        return (np.maximum(times, self._first) - self._first + (self._unit - 1)) // self._unit


def order_of(numbers: np.ndarray) -> np.ndarray:
    """What sorts numbers that are not negative; equal ones in any order."""
    position_bits = len(numbers).bit_length()
    if int(numbers.max(initial=0)).bit_length() + position_bits > 64:
        return np.argsort(numbers)
    together = numbers.astype(np.uint64)
    together <<= position_bits
    together |= np.arange(len(numbers), dtype=np.uint64)
    together.sort()  # takes half the time of argsort
    together &= 2**position_bits - 1
    return together.view(np.int64)
