"""What the tests share: a real runner started as a process, and waiting with a deadline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

RUNNER = Path(__file__).parent.parent / "asgard" / "runner.py"
T = TypeVar("T")


def wait_for(condition: Callable[[], T | None], what: str, seconds: float = 60) -> T:
    """The first value of `condition` that is true; fails when there is none within `seconds`."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        value = condition()
        if value:
            return value
        time.sleep(0.01)  # the pause of a poll, not a wait for something to have happened
    raise AssertionError(f"waited {seconds} s for {what}")


def is_running(pid: int) -> bool:
    """Whether the process runs: a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat[stat.rindex(b")") + 2 :].split()[0] not in (b"Z", b"X")


def frames_in(spool: Path) -> list[dict[str, Any]]:
    """The frames in a file that may be written to just now: what of one is not there yet does not count."""
    data = spool.read_bytes() if spool.exists() else b""
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]]


class Run:
    """A runner of one script, started as the platform starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool.jsonl"
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        script: str,
        *,
        timeout: float = 60,
        grace: float = 5,
        env: dict[str, str] | None = None,
        argv: list[str] | None = None,
        cwd: str | None = None,
        limit: int = 64 * 1024 * 1024,
        **popen: Any,
    ) -> Run:
        spec = {
            "argv": argv or [sys.executable, "-I", "-S", "-u", "-c", script],
            "env": env or {},
            "cwd": cwd or str(self.folder),
            "spool": str(self.spool),
            "timeout_seconds": timeout,
            "grace_seconds": grace,
            "output_limit_bytes": limit,
        }
        self.start_with(json.dumps(spec).encode(), **popen)
        return self

    def start_with(self, spec: bytes, **popen: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(RUNNER)],
            stdin=subprocess.PIPE,
            **({"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "start_new_session": True} | popen),
        )
        assert self.process.stdin is not None
        self.process.stdin.write(spec)
        self.process.stdin.close()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int = signal.SIGTERM) -> None:
        os.kill(self.pid, number)

    def frames(self) -> list[dict[str, Any]]:
        """All but the first, which says who writes."""
        return self.all_frames()[1:]

    def all_frames(self) -> list[dict[str, Any]]:
        return frames_in(self.spool)

    def lines(self, stream: str | None = None) -> list[str]:
        return [frame["x"] for frame in self.frames() if "x" in frame and stream in (None, frame["s"])]

    def wait_for_line(self, text: str) -> str:
        return wait_for(lambda: next((line for line in self.lines() if text in line), None), f"the line {text!r}")

    def wait_for_pid(self, name: str) -> int:
        """The pid that a script printed as `name <pid>`."""
        return int(self.wait_for_line(f"{name} ").split()[1])

    def run_out_of_time(self, script: str, lines: int) -> dict[str, Any]:
        """Runs a script, which prints so many lines and goes on, until its time is over; returns its exit record.

        On a busy machine it is run anew with more time until it has printed them.
        """
        for timeout in (1, 4, 16):
            self.clean()
            for path in self.folder.glob(f"{self.spool.name}*"):
                path.unlink()
            record = self.start(script, timeout=timeout, grace=timeout / 2).finish()
            if len(self.lines()) >= lines:
                break
        return record

    def finish(self, seconds: float = 60) -> dict[str, Any]:
        """Waits for the runner and returns its exit record, having checked what every spool must hold."""
        assert self.process is not None
        assert self.process.wait(seconds) == 0
        frames = self.frames()
        assert [frame["n"] for frame in frames] == list(range(1, len(frames) + 1))
        assert ["exit" in frame for frame in frames] == [False] * (len(frames) - 1) + [True]
        return frames[-1]["exit"]

    def clean(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        if self.process.stderr is not None:
            self.process.stderr.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    run.clean()
