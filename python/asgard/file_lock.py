"""The locks of `src/platform/file-lock.ts`, as this side takes them."""

from __future__ import annotations

import contextlib
import fcntl
import os

# The bytes that SQLite's file format sets aside for locks: who shares one locks some or all of these for reading.
_SHARED_FIRST = 0x40000002
_SHARED_SIZE = 510


def hold_shared(path: str) -> None:
    """Shares the lock of a file that exists until this process ends. Without a word when that cannot be.

    Whoever started this process shares it too until this is done, so nobody stands in the way.
    """
    with contextlib.suppress(OSError):
        # The descriptor stays open: to close any of this file would release the lock.
        fcntl.lockf(os.open(path, os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
