"""Parts of a table, which threads read side by side."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import pyarrow as pa

ROWS_A_FILE = 2**32
"""Rows are numbered from 0 in the first file, from this in the second, and so on."""
_MAX_THREADS = 4
"""Each holds a batch, or the columns of a file that pyiceberg reads."""


_T = TypeVar("_T")


@dataclass(frozen=True)
class TimeRange:
    """From `first` to `last`, both included, in UTC. None: no bound."""

    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class Part:
    """A row group, or a file."""

    first: int
    """The number of its first row; those of the others follow."""
    end: int
    """Beyond all of its rows' numbers."""
    read: Callable[[list[str]], Iterator[pa.RecordBatch]]
    """All its rows in their order, with the columns that are named, in that order. It may be called again."""


def in_threads(work: Callable[[Part], _T], parts: Iterable[Part]) -> Iterator[_T]:
    """What `work` gives for each part, in their order; one thread for each processor, and few parts waiting."""
    count = min(len(os.sched_getaffinity(0)), _MAX_THREADS)
    pool = ThreadPoolExecutor(count, "asgard-feast-read")
    try:
        waiting: deque[Future[_T]] = deque()
        for part in parts:
            waiting.append(pool.submit(work, part))
            if len(waiting) > 2 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
