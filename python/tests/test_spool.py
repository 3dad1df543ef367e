from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from asgard.segments import SpoolInUseError
from asgard.spool import PIECE_BYTES, LineCutter, Piece, Spool


def cut(chunks: list[bytes]) -> list[Piece]:
    cutter = LineCutter()
    return [piece for chunk in chunks for piece in cutter.feed(chunk)] + cutter.finish()


def test_pieces_do_not_depend_on_how_the_bytes_came(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 64
    monkeypatch.setattr("asgard.spool.PIECE_BYTES", limit)
    monkeypatch.setattr("asgard.spool._CERTAINLY_SHORT", limit // 4)
    data = b"".join(
        [
            b"plain\nwith return\r\nlone \r return\r\r\n\n",
            "é€😀\n".encode() * 3,
            b"bad \xff\xc3( end\xe2\x82\nnul \0\n",
            b"a" * limit + b"\r\n",
            b"a" * (limit + 1) + b"\r\n",
            "€".encode() * limit + b"\n",
            b"\xff" * limit,
            b"\r",
        ]
    )
    whole = cut([data])
    chance = random.Random(1)
    for size in (1, 2, 3, 7, 64, 65, 66, 200) * 20:
        chunks: list[bytes] = []
        rest = data
        while rest:
            step = chance.randint(1, size)
            chunks.append(rest[:step])
            rest = rest[step:]
        assert cut(chunks) == whole
    assert max(len(text.encode()) for text, _ in whole) <= limit
    lines, line = [], ""
    for text, is_continued in whole:
        line += text
        if not is_continued:
            lines.append(line)
            line = ""
    expected = data.decode(errors="replace").replace("\0", "\ufffd").split("\n")
    assert lines == [text.removesuffix("\r") for text in expected[:-1]] + expected[-1:]


def test_a_line_of_exactly_the_limit_is_one_piece() -> None:
    assert cut([b"a" * PIECE_BYTES + b"\r\n"]) == [("a" * PIECE_BYTES, False)]
    assert [is_continued for _, is_continued in cut([b"a" * PIECE_BYTES + b"b"])] == [True, False]


def test_an_unfinished_last_line_that_ends_in_a_return_stays_within_the_limit() -> None:
    assert cut([b"a" * PIECE_BYTES + b"\r"]) == [("a" * PIECE_BYTES, True), ("\r", False)]


def test_frames_have_no_character_that_a_reader_of_lines_may_take_for_an_ending(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = Spool(str(path), 1_000_000)
    text = 'a\u2028b\u2029c\rd\x0be\x85f"\\g\ud7ff\u007f'
    spool.append("stdout", [(text, False)])
    spool.close()
    line = path.read_bytes().removesuffix(b"\n").decode()
    assert json.loads(line)["x"] == text
    assert not {"\u2028", "\u2029", "\n", "\r"} & set(line)


def test_a_spool_has_one_writer_and_one_run(tmp_path: Path) -> None:
    path = str(tmp_path / "spool")
    first = Spool(path, 1_000_000)
    with pytest.raises(SpoolInUseError, match="another runner"):
        Spool(path, 1_000_000)
    first.append("stdout", [("x", False)])
    first.close()
    with pytest.raises(SpoolInUseError, match="not empty"):
        Spool(path, 1_000_000)
