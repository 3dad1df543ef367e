"""The spool: numbered frames in files, one JSON object a line: everything that a script printed and how it ended.

Numbers are given here, next to the process, so whoever reads the file again, from wherever, sees the same ones.
"""

from __future__ import annotations

import codecs
import errno
import hashlib
import json
import os
import time
from typing import Any, Literal

from asgard.segments import PartWrittenError, Segments

Stream = Literal["stdout", "stderr"]
Piece = tuple[str, bool]
"""The text of a frame, and whether the line goes on in the stream's next frame."""

PIECE_BYTES = 64 * 1024
MAX_LINES = 2_000_000_000
"""Numbers of lines, and those of the job's events, are 32-bit integers wherever they are stored."""
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


class Spool:
    """Writes the frames. The file is created if missing, readable by its owner alone, and locked while this is open.

    Of more output than `limit` bytes the middle goes: `asgard.segments` says how. Raises `SpoolInUseError` when another
    process has it locked or it is not empty, and OSError when it cannot be opened. Whoever made it calls `close`.
    """

    def __init__(self, path: str, limit: int) -> None:
        self._files = Segments(path, limit)
        self._last_number = 0
        self._bytes = 0
        self._sha256 = hashlib.sha256()

    @property
    def has_room_for_exit(self) -> bool:
        """Whether the exit frame can be written on a full disk. Not when the first frame was written on one."""
        return self._files.has_reserve

    def append_start(self, identity: str) -> None:
        """Writes frame 0: which process writes this spool, so that any other finds it. Raises OSError."""
        frame = f'{{"n":0,"t":{time.time():.6f},"start":{_to_json({"pid": os.getpid(), "identity": identity})}}}\n'
        self._write_surely(frame)

    def append(self, stream: Stream, pieces: list[Piece]) -> None:
        """Writes a frame for each piece, numbered on, all in one write.

        On OSError (a full disk) the frames that fitted stay and are counted; half of a frame never stays.
        """
        if not pieces:
            return
        if self._last_number + len(pieces) > MAX_LINES:
            raise OSError(errno.EFBIG, f"it has more than {MAX_LINES:,} lines")
        if self._files.is_full:
            self._files.begin_next(self._last_number, self._bytes)
        middle = f',"t":{time.time():.6f},"s":"{stream}","x":'
        frames: list[str] = []
        for number, (text, is_continued) in enumerate(pieces, self._last_number + 1):
            ending = ',"p":true}\n' if is_continued else "}\n"
            frames.append(f'{{"n":{number}{middle}{_to_json(text)}{ending}')
        written = 0
        try:
            written = self._files.write(_encode(frames))
        except PartWrittenError as error:
            written = error.lines
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
        self._write_surely(f'{{"n":{self._last_number + 1},"t":{time.time():.6f},"exit":{_to_json(record)}}}\n')

    def close(self) -> None:
        """Closes the file and gives up its lock."""
        self._files.close()

    def _count(self, texts: list[str]) -> None:
        if not texts:
            return
        data = ("\n".join(texts) + "\n").encode()
        self._last_number += len(texts)
        self._bytes += len(data)
        self._sha256.update(data)
        self._files.count(len(texts), len(data))

    def _write_surely(self, frame: str) -> None:
        """Writes a frame that must be there, with the room that was kept for it when there is no other."""
        data = _encode([frame])
        try:
            self._files.write(data)
        except PartWrittenError:
            self._files.free_reserve()
            try:
                self._files.write(data)
            except PartWrittenError as error:
                raise error.cause from None


def explain(error: OSError) -> str:
    """Why something could not be stored, in plain words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({error.strerror})"
    return error.strerror or str(error)


def _encode(frames: list[str]) -> bytes:
    # Some readers of lines (Node's readline) take these two for line ends. They can only stand inside JSON strings
    # here, where an escape means the same.
    return "".join(frames).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()
