"""One run of a script: its output into the spool, its time limit, its end and that of all it started."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from asgard.file_lock import hold_shared
from asgard.linux import IS_LINUX
from asgard.messages import receive
from asgard.process_tree import ProcessTree, SandboxTree, adopt_orphans, own_identity, watch_end
from asgard.runner_spec import Spec
from asgard.script_process import StartScript
from asgard.segments import SpoolInUseError
from asgard.spool import LineCutter, Spool, Stream, explain

_READ_BYTES = 256 * 1024
_LEFTOVER_GRACE_SECONDS = 2.0
_UNKILLABLE_SECONDS = 10.0  # a process in an uninterruptible wait must not keep the exit frame back for ever
_DRAIN_SECONDS = 1.0
_SCAN_SECONDS = 0.03
_EXIT_FRAME_RETRY_SECONDS = 10.0

_Tree = ProcessTree | SandboxTree


def supervise(spec: Spec, wakeup: int, start_script: StartScript) -> int:
    """Runs a spec in this process, which does nothing else. Returns the exit code that `runner.py` describes."""
    try:
        spool = Spool(spec.spool, spec.output_limit_bytes)
        spool.append_start(own_identity())
    except (OSError, SpoolInUseError) as error:
        complain(str(error))
        return 2
    if spec.environment_lock is not None:
        hold_shared(spec.environment_lock)
    ending = Supervisor(spec, spool, wakeup, start_script).run()
    return 0 if _write_exit(spool, ending) else 1


class Supervisor:
    """One run of a spec, in one thread: everything happens between two calls of `select`."""

    def __init__(self, spec: Spec, spool: Spool, wakeup: int, start_script: StartScript) -> None:
        """`wakeup` is where signals can be read as bytes; `start_script` makes the script's process."""
        self._spec = spec
        self._start_script = start_script
        self._spool = spool
        self._wakeup = wakeup
        self._selector = selectors.DefaultSelector()
        self._selector.register(wakeup, selectors.EVENT_READ)
        self._cutters: dict[int, tuple[Stream, LineCutter]] = {}
        self._starter_end: int | None = None
        self._main_pid: int | None = None
        self._control: socket.socket | None = None
        self._wait_status: int | None = None
        self._cancel_requests = 0
        self._reason: str | None = None
        self._kill_at = math.inf
        self._messages: list[str] = []
        self._has_write_failed = False

    def run(self) -> dict[str, Any]:
        """Runs the script to its end and spools its lines; returns the exit frame's fields, without the totals."""
        adopt_orphans()
        self._watch_starter()
        self._turn(time.monotonic())
        if self._cancel_requests:
            return self._ending("cancelled", "cancelled before the script was started")
        if not self._spool.has_room_for_exit:
            return self._ending("start_failed", "the disk is full")
        try:
            tree = self._start()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return self._ending("start_failed", _start_message(self._spec, error))
        self._wait_for_main(tree)
        self._end_leftovers(tree)
        self._drain()
        reason = self._reason or ("output_lost" if self._has_write_failed else "exited")
        return self._ending(reason, "; ".join(self._messages) or None)

    def _watch_starter(self) -> None:
        starter = self._spec.ends_with
        if starter is None or not IS_LINUX:
            return
        self._starter_end = watch_end(starter.pid, starter.identity)
        if self._starter_end is None:
            self._cancel_requests = 2
        else:
            self._selector.register(self._starter_end, selectors.EVENT_READ)

    def _start(self) -> _Tree:
        script = self._start_script(self._spec)
        self._main_pid, self._control = script.pid, script.control
        if script.control is not None:
            self._selector.register(script.control, selectors.EVENT_READ)
        streams: list[tuple[Stream, int]] = [("stdout", script.stdout), ("stderr", script.stderr)]
        for stream, fd in streams:
            self._cutters[fd] = (stream, LineCutter())
            self._selector.register(fd, selectors.EVENT_READ)
        return script.tree

    def _wait_for_main(self, tree: _Tree) -> None:
        limit = self._spec.timeout_seconds
        deadline = math.inf if limit is None else time.monotonic() + limit
        while self._wait_status is None:
            now = time.monotonic()
            if self._reason is None and self._cancel_requests:
                self._stop(tree, "cancelled")
            elif self._reason is None and now >= deadline:
                self._stop(tree, "timed_out")
                self._messages.append(f"the script ran longer than its {limit:g} s")
            if self._kills_now(now):
                tree.kill()
                if now >= self._kill_at + _UNKILLABLE_SECONDS:
                    self._messages.append("the script's main process did not end when it was killed")
                    return
                self._turn(now + _SCAN_SECONDS)
            else:
                self._turn(min(deadline if self._reason is None else math.inf, self._kill_at))

    def _stop(self, tree: _Tree, reason: str) -> None:
        self._reason = reason
        self._kill_at = min(self._kill_at, time.monotonic() + self._spec.grace_seconds)
        tree.terminate()

    def _end_leftovers(self, tree: _Tree) -> None:
        """Ends what the main process left running. After a stop it keeps the grace time that it was given then."""
        self._kill_at = min(
            self._kill_at,
            time.monotonic() + (self._spec.grace_seconds if self._reason else _LEFTOVER_GRACE_SECONDS),
        )
        is_first = True
        self._reap()
        look_at = time.monotonic() + (0.0 if self._control is None else _SCAN_SECONDS)
        while time.monotonic() < look_at and not tree.is_empty():
            self._turn(look_at)  # init is ending, unless something is left in there
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
            elif key.fileobj is self._control:
                self._take_report(self._control)
            elif key.fd == self._starter_end:
                self._selector.unregister(key.fd)
                self._cancel_requests = 2  # at once: nobody is there to wait for a grace time
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

    def _take_report(self, control: socket.socket) -> None:
        try:
            self._wait_status = receive(control)["ended"]
        except EOFError:
            self._selector.unregister(control)
            if self._wait_status is None:
                self._wait_status = signal.SIGKILL  # it went with its sandbox

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
            self._messages.append(f"the script was killed, as its output could not be stored: {explain(error)}")

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


def catch_signals() -> int:
    """Makes the signals of interest readable as bytes from the descriptor that it returns.

    The handlers do nothing, and differ in that from ignoring: the script gets the default actions back when it starts.
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


def _write_exit(spool: Spool, ending: dict[str, Any]) -> bool:
    """Whether the exit frame was written. A full disk gets some seconds: what the script left there may be going."""
    give_up_at = time.monotonic() + _EXIT_FRAME_RETRY_SECONDS
    while True:
        try:
            spool.append_exit(ending)
            return True
        except OSError as error:
            if time.monotonic() >= give_up_at:
                complain(f"the exit frame could not be written: {error}")
                return False
            time.sleep(0.1)


def complain(text: str) -> None:
    """Says on standard error what no spool can say."""
    with contextlib.suppress(OSError, AttributeError):  # nobody may be listening
        print(f"runner: {text}", file=sys.stderr, flush=True)
