"""The runner: starts a training script, owns it, and writes all that it prints and how it ended to a spool file.

    python -I -S runner.py < spec.json

The spec on standard input is `{"argv": [...], "env": {...}, "cwd": "...", "spool": "...", "timeout_seconds": 300,
"grace_seconds": 5}`. The script gets exactly that environment and an empty standard input. The runner needs no reader
and no parent: it is in a session of its own and lives on when whoever started it is gone. It writes one byte to
standard output once it handles signals, and holds a lock on the spool (flock) for as long as it lives. SIGTERM cancels:
SIGTERM to the script's whole process tree, SIGKILL after the grace time; a second SIGTERM kills at once. The time
limit, counted from the script's start, does the same. When the script's main process ends, what it left running is
ended. If the runner is killed, the script's main process is killed with it.

Frames, one JSON object a line, numbered from 1 without holes:
    {"n":1,"t":1732.123456,"s":"stdout"|"stderr","x":"text"}        "p":true when the line goes on in the next frame
                                                                    of the same stream
    {"n":2,"t":1733.5,"exit":{"code":0|null,"signal":"SIGKILL"|null,"reason":"exited"|"timed_out"|"cancelled"|
        "start_failed"|"output_lost","message":"..."|null,"max_rss_bytes":1,"cpu_seconds":0.1,"lines":1,"bytes":5,"sha256":"..."}}
`t` is in unix seconds. `lines`, `bytes` and `sha256` are over the texts in order, each followed by a line feed, in
UTF-8. `max_rss_bytes` is that of the largest process, `cpu_seconds` that of all, as far as they were waited for.

Exit code: 0 when the exit frame was written, whatever the script did; 1 when it could not be; 2 when nothing was
started because the spec is wrong or the spool cannot be used (standard error says why).
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from typing import Any

# Run with -I, Python looks for modules in its own library alone. The package's folder is added for these imports only.
_package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(_package_root)
from asgard.process_tree import ProcessTree, become_subreaper, die_with_parent  # noqa: E402
from asgard.runner_spec import Spec  # noqa: E402
from asgard.spool import LineCutter, Spool, SpoolInUseError, Stream  # noqa: E402

sys.path.remove(_package_root)

_READ_BYTES = 256 * 1024
_PIPE_BYTES = 1024 * 1024  # the most that Linux gives an ordinary user; 64 KiB would wake the runner far more often
_LEFTOVER_GRACE_SECONDS = 2.0
_UNKILLABLE_SECONDS = 10.0  # a process in an uninterruptible wait must not keep the exit frame back for ever
_DRAIN_SECONDS = 1.0
_SCAN_SECONDS = 0.03
_EXIT_FRAME_RETRY_SECONDS = 10.0


def main() -> int:
    """Runs the spec on standard input; returns the runner's exit code."""
    with contextlib.suppress(PermissionError):  # it leads a session, or at least a group, already
        os.setsid()
    wakeup = _catch_signals()
    _tell_up()
    try:
        spec = Spec.parse(sys.stdin.buffer.read())
        spool = Spool(spec.spool)
    except (ValueError, OSError, SpoolInUseError) as error:
        _complain(str(error))
        return 2
    try:
        ending = Supervisor(spec, spool, wakeup).run()
        return 0 if _write_exit(spool, ending) else 1
    finally:
        spool.close()


class Supervisor:
    """One run of a spec, in one thread: everything happens between two calls of `select`."""

    def __init__(self, spec: Spec, spool: Spool, wakeup: int) -> None:
        self._spec = spec
        self._spool = spool
        self._wakeup = wakeup
        self._selector = selectors.DefaultSelector()
        self._selector.register(wakeup, selectors.EVENT_READ)
        self._cutters: dict[int, tuple[Stream, LineCutter]] = {}
        self._main_pid = 0
        self._wait_status: int | None = None
        self._cancel_requests = 0
        self._reason: str | None = None
        self._kill_at = math.inf
        self._messages: list[str] = []
        self._has_write_failed = False

    def run(self) -> dict[str, Any]:
        """Runs the script to its end and spools its lines; returns the exit frame's fields, without the totals."""
        become_subreaper()
        self._turn(time.monotonic())
        if self._cancel_requests:
            return self._ending("cancelled", "cancelled before the script was started")
        try:
            process = self._start()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return self._ending("start_failed", _start_message(self._spec, error))
        self._main_pid = process.pid
        tree = ProcessTree(process.pid)
        self._wait_for_main(tree)
        self._end_leftovers(tree)
        self._drain()
        # It was reaped here; without a code Popen would warn about, and wait for, a process that is still running.
        process.returncode = 0 if self._wait_status is None else os.waitstatus_to_exitcode(self._wait_status)
        reason = self._reason or ("output_lost" if self._has_write_failed else "exited")
        return self._ending(reason, "; ".join(self._messages) or None)

    def _start(self) -> subprocess.Popen[bytes]:
        # In UTF-8 whatever the locale is: words and values reach the script as they were given.
        process = subprocess.Popen(
            [word.encode() for word in self._spec.argv],
            env={name.encode(): value.encode() for name, value in self._spec.env.items()},
            cwd=self._spec.cwd.encode(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # safe, as this process has one thread
        )
        assert process.stdout is not None and process.stderr is not None
        streams: list[tuple[Stream, int]] = [("stdout", process.stdout.fileno()), ("stderr", process.stderr.fileno())]
        for stream, fd in streams:
            # Not every system has it, and a user may have too many large pipes: then it stays as it is.
            with contextlib.suppress(OSError, AttributeError):
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            self._cutters[fd] = (stream, LineCutter())
            self._selector.register(fd, selectors.EVENT_READ)
        return process

    def _wait_for_main(self, tree: ProcessTree) -> None:
        deadline = time.monotonic() + self._spec.timeout_seconds
        while self._wait_status is None:
            now = time.monotonic()
            if self._reason is None and self._cancel_requests:
                self._stop(tree, "cancelled")
            elif self._reason is None and now >= deadline:
                self._stop(tree, "timed_out")
                self._messages.append(f"the script ran longer than its {self._spec.timeout_seconds:g} s")
            if self._kills_now(now):
                tree.kill()
                if now >= self._kill_at + _UNKILLABLE_SECONDS:
                    self._messages.append("the script's main process did not end when it was killed")
                    return
                self._turn(now + _SCAN_SECONDS)
            else:
                self._turn(min(deadline if self._reason is None else math.inf, self._kill_at))

    def _stop(self, tree: ProcessTree, reason: str) -> None:
        self._reason = reason
        self._kill_at = min(self._kill_at, time.monotonic() + self._spec.grace_seconds)
        tree.terminate()

    def _end_leftovers(self, tree: ProcessTree) -> None:
        """Ends what the main process left running. After a stop it keeps the grace time that it was given then."""
        self._kill_at = min(
            self._kill_at,
            time.monotonic() + (self._spec.grace_seconds if self._reason else _LEFTOVER_GRACE_SECONDS),
        )
        is_first = True
        self._reap()
        while not tree.is_empty():
            now = time.monotonic()
            if is_first:
                tree.terminate()
                is_first = False
            if self._kills_now(now):
                tree.kill()
                if now >= self._kill_at + _UNKILLABLE_SECONDS:
                    self._messages.append("a process that the script left running did not end when it was killed")
                    return
            self._turn(now + _SCAN_SECONDS)

    def _kills_now(self, now: float) -> bool:
        if self._cancel_requests > 1 or self._has_write_failed:
            self._kill_at = min(self._kill_at, now)
        return now >= self._kill_at

    def _drain(self) -> None:
        """Reads what is left in the pipes. A process out of reach that holds one open is not waited for long."""
        give_up_at = time.monotonic() + _DRAIN_SECONDS
        while self._cutters and time.monotonic() < give_up_at:
            self._turn(give_up_at)
        if self._cutters:
            self._messages.append("its output was still held open by a process that is no longer its own")
        for fd in list(self._cutters):
            self._end_stream(fd)

    def _turn(self, until: float) -> None:
        """Waits for output or a signal, at most until `until` (monotonic seconds), and handles what came."""
        # epoll takes no longer times; a turn more does no harm.
        timeout = min(max(until - time.monotonic(), 0.0), 3600.0)
        for key, _ in self._selector.select(timeout):
            if key.fd == self._wakeup:
                self._take_signals()
            else:
                self._take_output(key.fd)

    def _take_signals(self) -> None:
        numbers = os.read(self._wakeup, 4096)
        self._cancel_requests += numbers.count(signal.SIGTERM)
        if signal.SIGCHLD in numbers:
            self._reap()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._main_pid:
                    self._wait_status = status

    def _take_output(self, fd: int) -> None:
        data = os.read(fd, _READ_BYTES)
        if not data:
            self._end_stream(fd)
            return
        stream, cutter = self._cutters[fd]
        self._append(stream, cutter.feed(data))

    def _end_stream(self, fd: int) -> None:
        stream, cutter = self._cutters.pop(fd)
        self._selector.unregister(fd)
        self._append(stream, cutter.finish())

    def _append(self, stream: Stream, pieces: list[tuple[str, bool]]) -> None:
        if self._has_write_failed:
            return  # there would be a hole
        try:
            self._spool.append(stream, pieces)
        except OSError as error:
            self._has_write_failed = True
            self._messages.append(f"the script was killed, as its output could not be stored: {error.strerror}")

    def _ending(self, reason: str, message: str | None) -> dict[str, Any]:
        self._reap()  # what is not waited for does not count as used
        code = None if self._wait_status is None else os.waitstatus_to_exitcode(self._wait_status)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "code": code if code is not None and code >= 0 else None,
            "signal": _signal_name(-code) if code is not None and code < 0 else None,
            "reason": reason,
            "message": message,
            "max_rss_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 6),
        }


def _catch_signals() -> int:
    """Makes the signals of interest readable as bytes from the descriptor that it returns.

    The handlers do nothing, and differ in that from ignoring: the script gets the default actions back at exec.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    caught = (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT)
    for number in caught:
        signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return reader


def _tell_up() -> None:
    """One byte on standard output: from now on a signal is handled. Then nothing of ours goes there any more."""
    with contextlib.suppress(OSError):  # nobody may be listening
        os.write(1, b"\n")
        with open(os.devnull, "wb") as devnull:
            os.dup2(devnull.fileno(), 1)


def _write_exit(spool: Spool, ending: dict[str, Any]) -> bool:
    """Whether the exit frame was written. A full disk gets some seconds: what the script left there may be going."""
    give_up_at = time.monotonic() + _EXIT_FRAME_RETRY_SECONDS
    while True:
        try:
            spool.append_exit(ending)
            return True
        except OSError as error:
            if time.monotonic() >= give_up_at:
                _complain(f"the exit frame could not be written: {error}")
                return False
            time.sleep(0.1)


def _start_message(spec: Spec, error: Exception) -> str:
    if not isinstance(error, OSError):
        return f"the script could not be started: {error}"
    if error.filename == spec.cwd.encode():
        return f"the working directory {spec.cwd} cannot be entered: {error.strerror}"
    return f"{spec.argv[0]} could not be started: {error.strerror}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _complain(text: str) -> None:
    with contextlib.suppress(OSError, AttributeError):  # nobody may be listening
        print(f"runner: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
