"""What stays of a spool that becomes too long, and on a disk that becomes full."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

from asgard.segments import LINE_BYTES, RESERVE_BYTES
from asgard.spool import Spool

LIMIT = 64 * 1024


def files_of(spool: Path) -> list[tuple[int, Path]]:
    """The first frame's number and the path of every file, in order."""
    tail = [(int(path.suffix[1:]), path) for path in spool.parent.glob("spool.*") if path.suffix[1:].isdigit()]
    return [(1, spool), *sorted(tail)]


def records(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def write(spool: Spool, lines: list[str]) -> None:
    for start in range(0, len(lines), 10):
        spool.append("stdout", [(line, False) for line in lines[start : start + 10]])


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An own small file system where that is allowed."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Takes all that is free."""
    filler = folder / "filler"
    with pytest.raises(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


def test_the_first_half_and_the_end_stay_and_the_next_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = Spool(str(path), LIMIT)
    spool.append_start("me")
    lines = [f"line {number} {'x' * (number % 80)}" for number in range(1, 10_001)]
    write(spool, lines)
    spool.append_exit({})
    spool.close()

    files = files_of(path)
    sizes = [len("".join(f"{record['x']}\n" for record in records(file) if "x" in record)) for _, file in files]
    assert LIMIT / 2 <= sizes[0] <= LIMIT / 2 + 1000
    assert LIMIT / 2 <= sum(sizes[1:]) <= LIMIT / 2 + 3 * LIMIT / 32
    assert records(path)[0]["start"]["identity"] == "me"

    known: dict[int, str] = {}
    for (first, file), following in zip(files, [*files[1:], None], strict=True):
        header, *frames = records(file)
        assert header["n"] == first - 1
        if following is not None:
            named = frames.pop()["next"]
            assert named == first + len(frames)
            # The next one is there, or was removed as those between were.
            assert named == following[0] or (file == path and named < following[0])
        if file != path:
            before = "".join(f"{line}\n" for line in lines[: first - 1])
            assert header["bytes"] == len(before)
        assert [frame["n"] for frame in frames] == list(range(first, first + len(frames)))
        known |= {frame["n"]: frame["x"] for frame in frames if "x" in frame}
    assert all(lines[number - 1] == text for number, text in known.items())
    assert {1, 10_000} <= known.keys()
    exit_record = records(files[-1][1])[-1]["exit"]
    data = "".join(f"{line}\n" for line in lines).encode()
    assert exit_record == {"lines": 10_000, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_lines_count_however_short_they_are(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = Spool(str(path), LIMIT)
    spool.append_start("me")
    for _ in range(1000):
        spool.append("stdout", [("", False)] * 10)
    spool.close()
    kept = sum("x" in record for _, file in files_of(path) for record in records(file))
    assert kept <= LIMIT / LINE_BYTES * 1.2
    assert sum(file.stat().st_size for _, file in files_of(path)) < 3 * LIMIT


def test_what_fits_in_half_of_the_limit_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = Spool(str(path), LIMIT)
    write(spool, ["x" * 99] * (LIMIT // 2 // 100))
    assert files_of(path) == [(1, path)]
    write(spool, ["x" * 99] * 20)
    assert [number for number, _ in files_of(path)] == [1, LIMIT // 2 // 100 + 11]
    spool.close()


def test_the_disk_of_a_run_that_prints_without_end_stays_bounded(run: Run) -> None:
    run.spool = run.folder / "spool"
    run.start("for _ in range(50_000): print('x' * 200)", limit=2**20)
    assert run.process is not None
    most = 0
    while run.process.poll() is None:
        for path in run.folder.glob("spool*"):
            try:
                most = max(most, sum(other.stat().st_size for other in path.parent.glob("spool*")))
            except FileNotFoundError:
                continue
    assert run.process.returncode == 0
    _, last = files_of(run.spool)[-1]
    record = records(last)[-1]["exit"]
    assert record["bytes"] == 50_000 * 201
    assert record["reason"] == "exited"
    assert most < 2.5 * 2**20


def test_on_a_full_disk_the_exit_frame_is_written_all_the_same(folder: Path) -> None:
    path = folder / "spool"
    spool = Spool(str(path), LIMIT * 100)
    spool.append_start("me")
    spool.append("stdout", [("first", False)])
    fill(folder)
    with pytest.raises(OSError, match="No space left"):
        for _ in range(100):
            spool.append("stdout", [("x" * 1000, False)])
    spool.append_exit({"reason": "output_lost"})
    spool.close()
    *_, last = records(path)
    assert last["exit"]["reason"] == "output_lost"
    assert last["n"] == last["exit"]["lines"] + 1
    assert [record["n"] for record in records(path)] == list(range(last["n"] + 1))


def test_a_disk_that_is_full_when_a_file_begins_leaves_the_one_before_as_it_was(folder: Path) -> None:
    path = folder / "spool"
    spool = Spool(str(path), 2 * 1_000_000)
    spool.append_start("me")
    write(spool, ["x" * 9_999] * 100)
    fill(folder)
    # Exactly the last block of the first file may have room for the line that ends it.
    with pytest.raises(OSError, match="No space left"):
        for _ in range(100):
            spool.append("stdout", [("y" * 1000, False)])
    spool.append_exit({})
    spool.close()
    whole = [record for _, file in files_of(path) for record in records(file)]
    assert "exit" in whole[-1]
    assert len(whole) - 1 >= 100


def test_a_run_on_a_full_disk_says_so_and_starts_no_script(folder: Path, run: Run) -> None:
    run.spool = folder / "spool"
    (folder / "spool.reserve").write_bytes(bytes(RESERVE_BYTES))
    run.spool.touch()
    fill(folder)
    mark = run.folder / "started"
    record = run.start(f"open({str(mark)!r}, 'w')").finish()
    assert (record["reason"], record["message"]) == ("start_failed", "the disk is full")
    assert not mark.exists()


def test_a_script_that_fills_the_disk_is_killed_with_the_reason(folder: Path, run: Run) -> None:
    run.spool = folder / "spool"
    record = run.start("while 1: print('x' * 999)").finish()
    assert (record["signal"], record["reason"]) == ("SIGKILL", "output_lost")
    assert "its output could not be stored: the disk is full (No space left on device)" in record["message"]
    data = "".join(f"{text}\n" for text in run.lines()).encode()
    assert (record["bytes"], record["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_more_lines_than_numbers_can_tell_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgard.spool.MAX_LINES", 10)
    spool = Spool(str(tmp_path / "spool"), LIMIT)
    spool.append("stdout", [("x", False)] * 10)
    with pytest.raises(OSError, match="more than 10 lines"):
        spool.append("stdout", [("x", False)])
    spool.append_exit({})
    spool.close()
