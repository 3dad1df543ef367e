"""The spool: a file of numbered frames, one JSON object a line: everything that a script printed and how it ended.

Numbers are given here, next to the process, so whoever reads the file again, from wherever, sees the same ones.
"""

from __future__ import annotations

import codecs
import fcntl
import hashlib
import json
import os
import time
from typing import Any, Literal

Stream = Literal["stdout", "stderr"]
Piece = tuple[str, bool]
"""The text of a frame, and whether the line goes on in the stream's next frame."""

PIECE_BYTES = 64 * 1024
_CERTAINLY_SHORT = PIECE_BYTES // 4  # characters; UTF-8 takes at most 4 bytes for one

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class LineCutter:
    """Turns one stream's bytes into pieces of lines.

    Lines end at a line feed; a carriage return right before it is dropped, any other is kept. Bytes that are no UTF-8,
    and NUL (which PostgreSQL cannot store), become U+FFFD. A line of more than 64 KiB in UTF-8 becomes pieces of at
    most 64 KiB, cut between characters. The pieces do not depend on how the bytes were divided among the calls of
    `feed`, and no more than one piece and one chunk is held in memory.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that `data` completes, in order."""
        return self._cut(self._decoder.decode(data))

    def finish(self) -> list[Piece]:
        """The unfinished last line, if there is one: the end of the stream ends a line."""
        pieces = self._cut(self._decoder.decode(b"", final=True))
        if self._rest:
            pieces.append((_cut_long(self._rest, pieces), False))
            self._rest = ""
        return pieces

    def _cut(self, decoded: str) -> list[Piece]:
        text = self._rest + decoded
        if "\0" in text:
            text = text.replace("\0", "\ufffd")
        *lines, rest = text.split("\n")
        pieces: list[Piece] = []
        for line in lines:
            if line.endswith("\r"):
                line = line[:-1]
            if len(line) > _CERTAINLY_SHORT:
                line = _cut_long(line, pieces)
            pieces.append((line, False))
        if len(rest) > _CERTAINLY_SHORT:
            # A carriage return at the end may belong to the line's ending, so it does not count before more is known.
            ending = "\r" if rest.endswith("\r") else ""
            rest = _cut_long(rest.removesuffix("\r"), pieces) + ending
        self._rest = rest
        return pieces


def _cut_long(line: str, pieces: list[Piece]) -> str:
    """Appends all pieces of `line` but the last, which it returns: at most 64 KiB, and not empty unless `line` is."""
    data = line.encode()
    start = 0
    while len(data) - start > PIECE_BYTES:
        end = start + PIECE_BYTES
        while data[end] & 0xC0 == 0x80:  # a continuation byte: the character began before
            end -= 1
        pieces.append((data[start:end].decode(), True))
        start = end
    return data[start:].decode() if start else line


class SpoolInUseError(Exception):
    """The spool holds frames already or another runner writes it: starting again would number lines twice."""


class Spool:
    """Writes the frames. The file is created if missing, readable by its owner alone, and locked while this is open.

    Raises `SpoolInUseError` when another process has it locked or it is not empty, and OSError when it cannot be
    opened. Whoever made it calls `close`.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise SpoolInUseError(f"another runner is writing {path}") from error
        self._size = os.fstat(self._fd).st_size
        if self._size > 0:
            os.close(self._fd)
            raise SpoolInUseError(f"{path} is not empty: it belongs to a run that was started before")
        self._last_number = 0
        self._bytes = 0
        self._sha256 = hashlib.sha256()

    def append_start(self, identity: str) -> None:
        """Writes frame 0: which process writes this spool, so that any other finds it. Raises OSError."""
        frame = f'{{"n":0,"t":{time.time():.6f},"start":{_to_json({"pid": os.getpid(), "identity": identity})}}}\n'
        try:
            self._write(_encode([frame]))
        except _PartWrittenError as error:
            raise error.cause from None

    def append(self, stream: Stream, pieces: list[Piece]) -> None:
        """Writes a frame for each piece, numbered on, all in one write.

        On OSError (a full disk) the frames that fitted stay and are counted; half of a frame never stays.
        """
        if not pieces:
            return
        middle = f',"t":{time.time():.6f},"s":"{stream}","x":'
        frames: list[str] = []
        for number, (text, is_continued) in enumerate(pieces, self._last_number + 1):
            ending = ',"p":true}\n' if is_continued else "}\n"
            frames.append(f'{{"n":{number}{middle}{_to_json(text)}{ending}')
        written = 0
        try:
            written = self._write(_encode(frames))
        except _PartWrittenError as error:
            written = error.frames
            raise error.cause from None
        finally:
            self._count([text for text, _ in pieces[:written]])

    def append_exit(self, exit_fields: dict[str, Any]) -> None:
        """Writes the last frame: `exit_fields` with lines, bytes and sha256 of what was written before added.

        On OSError nothing of it stays, and it may be called again.
        """
        record = {
            **exit_fields,
            "lines": self._last_number,
            "bytes": self._bytes,
            "sha256": self._sha256.hexdigest(),
        }
        frame = f'{{"n":{self._last_number + 1},"t":{time.time():.6f},"exit":{_to_json(record)}}}\n'
        try:
            self._write(_encode([frame]))
        except _PartWrittenError as error:
            raise error.cause from None

    def close(self) -> None:
        """Closes the file and gives up its lock."""
        os.close(self._fd)

    def _count(self, texts: list[str]) -> None:
        if not texts:
            return
        data = ("\n".join(texts) + "\n").encode()
        self._last_number += len(texts)
        self._bytes += len(data)
        self._sha256.update(data)

    def _write(self, data: bytes) -> int:
        """Writes all of `data` and returns its number of frames; on failure leaves only whole frames in the file."""
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
            raise _PartWrittenError(data.count(b"\n", 0, whole), error) from error
        self._size += done
        return data.count(b"\n")


class _PartWrittenError(Exception):
    """A write ended early, after this number of whole frames."""

    def __init__(self, frames: int, cause: OSError) -> None:
        super().__init__(str(cause))
        self.frames = frames
        self.cause = cause


def _encode(frames: list[str]) -> bytes:
    # Some readers of lines (Node's readline) take these two for line ends. They can only stand inside JSON strings
    # here, where an escape means the same.
    return "".join(frames).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()
