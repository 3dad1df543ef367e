"""The files of a spool: a head that stays, and a tail of segments whose oldest go once it is long enough.

    spool           the head: the first half of the limit
    spool.N         a segment of the tail, whose first frame has the number N
    spool.reserve   blocks that are freed for what must be written although the disk is full

A file that is finished ends with `{"next":N}`, the next one's number. A segment begins with
`{"n":N-1,"t":...,"bytes":B}`: B bytes of output were in all frames before it. Whoever finds that a segment is gone goes
on with the next that is there, and knows from its first line how much it missed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections import deque

LINE_BYTES = 32
"""A line counts as at least so many bytes of the limit: storing one takes as much, however short it is."""

RESERVE_BYTES = 64 * 1024
_SEGMENTS = 32  # that the limit is divided into


class SpoolInUseError(Exception):
    """The spool holds frames already or another runner writes it: starting again would number lines twice."""


class PartWrittenError(Exception):
    """A write ended early, after this number of whole lines."""

    def __init__(self, lines: int, cause: OSError) -> None:
        super().__init__(str(cause))
        self.lines = lines
        self.cause = cause


class Segments:
    """Writes the files, which only their owner can read. The head is locked while this is open.

    Whoever made it calls `close`.
    """

    def __init__(self, path: str, limit: int) -> None:
        """`limit`: how many bytes of output are kept, the head and the tail together.

        Raises SpoolInUseError when another process has the head locked or it is not empty, and OSError.
        """
        self._path = path
        self._limit = limit
        self._head = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._head, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._head).st_size > 0:
                raise SpoolInUseError(f"{path} is not empty: it belongs to a run that was started before")
            self._has_reserve = False
            self.make_reserve()
        except BlockingIOError as error:
            os.close(self._head)
            raise SpoolInUseError(f"another runner is writing {path}") from error
        except BaseException:
            os.close(self._head)
            raise
        self._fd = self._head
        self._name = path
        self._size = 0
        self._lines = 0
        self._bytes = 0
        self._room = limit // 2
        self._tail: deque[tuple[str, int, int]] = deque()  # finished segments: name, lines, bytes
        self._tail_lines = 0
        self._tail_bytes = 0

    @property
    def has_reserve(self) -> bool:
        """Whether there are blocks to free for the exit frame."""
        return self._has_reserve

    def make_reserve(self) -> None:
        """Takes blocks from the disk, unless whoever made the run's folder has. Raises OSError when it is full."""
        name = f"{self._path}.reserve"
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            done = os.fstat(fd).st_size
            while done < RESERVE_BYTES:
                done += os.pwrite(fd, bytes(RESERVE_BYTES - done), done)
        except OSError:
            os.unlink(name)
            raise
        finally:
            os.close(fd)
        self._has_reserve = True

    def free_reserve(self) -> None:
        """Gives the blocks back."""
        self._has_reserve = False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._path}.reserve")

    def count(self, lines: int, data_bytes: int) -> None:
        """Says how much output is in what was written last."""
        self._lines += lines
        self._bytes += data_bytes

    @property
    def is_full(self) -> bool:
        """Whether the file that is being written is as long as it shall be."""
        return cost(self._lines, self._bytes) >= self._room

    def begin_next(self, last_number: int, total_bytes: int) -> None:
        """Finishes the file, and removes segments that the tail does not need any more.

        `total_bytes` of output are in the frames up to `last_number`. On OSError all is as it was.
        """
        name = f"{self._path}.{last_number + 1}"
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        header = f'{{"n":{last_number},"t":{time.time():.6f},"bytes":{total_bytes}}}\n'.encode()
        try:
            # Before it is told of: whoever opens it finds the line there.
            if os.write(fd, header) < len(header):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.write(f'{{"next":{last_number + 1}}}\n'.encode())
        except (OSError, PartWrittenError) as error:
            os.close(fd)
            os.unlink(name)
            raise (error.cause if isinstance(error, PartWrittenError) else error) from None
        if self._fd != self._head:
            os.close(self._fd)
            self._tail.append((self._name, self._lines, self._bytes))
            self._tail_lines += self._lines
            self._tail_bytes += self._bytes
        self._fd, self._name, self._size = fd, name, len(header)
        self._lines = self._bytes = 0
        self._room = self._limit // _SEGMENTS
        self._remove_oldest()

    def write(self, data: bytes) -> int:
        """Writes all of `data` and returns its number of lines; on PartWrittenError only whole lines stay."""
        view = memoryview(data)
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, view[done:])
        except OSError as error:
            whole = data.rfind(b"\n", 0, done) + 1
            if whole < done:
                os.ftruncate(self._fd, self._size + whole)
            self._size += whole
            raise PartWrittenError(data.count(b"\n", 0, whole), error) from error
        self._size += done
        return data.count(b"\n")

    def close(self) -> None:
        """Closes the files and gives up the lock."""
        if self._fd != self._head:
            os.close(self._fd)
        os.close(self._head)

    def _remove_oldest(self) -> None:
        while self._tail:
            name, lines, data_bytes = self._tail[0]
            if cost(self._tail_lines - lines, self._tail_bytes - data_bytes) < self._limit // 2:
                return
            self._tail.popleft()
            self._tail_lines -= lines
            self._tail_bytes -= data_bytes
            with contextlib.suppress(OSError):  # what is left does no harm
                os.unlink(name)


def cost(lines: int, data_bytes: int) -> int:
    """What so much output takes of the limit."""
    return max(data_bytes, lines * LINE_BYTES)
