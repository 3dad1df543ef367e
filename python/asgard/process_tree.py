"""The processes that came out of this one: finding them, ending them, and not being outlived by them.

On Linux this process becomes a child subreaper: whatever its descendants do (fork twice, start sessions of their own),
their orphans become its children, so the tree never loses a branch. Elsewhere only the script's process group is known.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from typing import NamedTuple

from asgard.linux import IS_LINUX, become_subreaper, set_parent_death_signal


def adopt_orphans() -> None:
    """Makes orphans among this process's descendants its children. Does nothing where that is not known."""
    if IS_LINUX:
        become_subreaper()


def die_with_parent() -> Callable[[], None]:
    """What a child of this process calls between fork and exec so that it is killed when this process is gone."""
    if not IS_LINUX:
        return lambda: None
    parent = os.getpid()

    def in_child() -> None:
        set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call above
            os.kill(os.getpid(), signal.SIGKILL)

    return in_child


def end_with_parent() -> None:
    """From now on this process is killed when what started it is gone: a thread of a process counts. Linux only."""
    if IS_LINUX:
        set_parent_death_signal(signal.SIGKILL)


def own_identity() -> str:
    """What tells this process from a later one with the same number: the boot, and its start time in clock ticks.

    The same text as `identityOfProcess` of `src/platform/process-identity.ts` gives.
    """
    return identity_of(os.getpid())


def identity_of(pid: int) -> str:
    """The same of any process. Raises OSError when there is none, and is empty then where there is no /proc."""
    if not IS_LINUX:
        command = ["/bin/ps", "-p", str(pid), "-o", "lstart="]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    with open(f"/proc/{pid}/stat", "rb") as file:
        stat = file.read()
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    return f"{boot}:{int(stat[stat.rindex(b')') + 2 :].split()[19])}"


def watch_end(pid: int, identity: str) -> int | None:
    """A descriptor that can be read once that process has ended. None when it has already, or not on Linux."""
    if not IS_LINUX:
        return None
    try:
        fd = os.pidfd_open(pid)
        if identity_of(pid) == identity:
            return fd
        os.close(fd)
    except OSError:
        pass
    return None


class ProcessTree:
    """All descendants of this process; `group` is the process group of its one direct child."""

    def __init__(self, group: int) -> None:
        self._group = group
        self._terminated: set[tuple[int, int]] = set()

    def terminate(self) -> None:
        """Sends SIGTERM to each process that did not get it by an earlier call."""
        if not IS_LINUX:
            _signal_group(self._group, signal.SIGTERM)
            return
        for process in _descendants(os.getpid()):
            if process.identity not in self._terminated:
                self._terminated.add(process.identity)
                _signal(process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL to each process. What is being forked meanwhile can escape: call again until `is_empty`."""
        if not IS_LINUX:
            _signal_group(self._group, signal.SIGKILL)
            return
        # By groups, which the kernel does at a stroke: a program that forks without end is not caught one by one. The
        # script's session is its own, so the groups of its processes hold nothing else.
        groups = {process.group for process in _descendants(os.getpid())} - {0, os.getpgrp()}
        for group in groups:
            _signal_group(group, signal.SIGKILL)

    def is_empty(self) -> bool:
        """Whether no process is left. One that has ended counts until it was waited for."""
        if not IS_LINUX:
            return not _signal_group(self._group, 0)
        return _has_no_child()


class SandboxTree:
    """All that came out of a script in a sandbox: this process's child is the keeper, its child the sandbox's init."""

    def __init__(self) -> None:
        self._terminated: set[tuple[int, int]] = set()

    def terminate(self) -> None:
        """Sends SIGTERM to each process that did not get it by an earlier call."""
        for process in _descendants(os.getpid()):
            if process.depth > _INIT_DEPTH and process.identity not in self._terminated:
                self._terminated.add(process.identity)
                _signal(process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Ends init, and with it the kernel ends all of it at a stroke, whatever it does."""
        for process in _descendants(os.getpid()):
            if process.depth == _INIT_DEPTH:
                _signal(process.pid, signal.SIGKILL)

    def is_empty(self) -> bool:
        """Whether no process is left: init ends after the last one."""
        return _has_no_child()


_INIT_DEPTH = 2


class _Process(NamedTuple):
    pid: int
    group: int
    start_time: int
    depth: int
    """1 for a child."""

    @property
    def identity(self) -> tuple[int, int]:
        """Pids come again, but not with the same start time."""
        return (self.pid, self.start_time)


def _has_no_child() -> bool:
    try:
        # Without a child there is no descendant either, as orphans come here. /proc does not tell: a process that
        # forks and ends while it is being read, as a daemon does, is seen in neither of its two.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or it became another user's
        os.kill(pid, number)


def _signal_group(group: int, number: int) -> bool:
    """Whether the group has a process."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _descendants(root: int) -> list[_Process]:
    """Every process below `root`, parents before children. A zombie counts: its other threads may still run."""
    children: dict[int, list[_Process]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                stat = file.read()
        except OSError:
            continue  # it ended meanwhile
        # proc(5): pid, then in parentheses the name, which may hold anything, then state, parent, group, …
        fields = stat[stat.rindex(b")") + 2 :].split()
        process = _Process(pid=int(name), group=int(fields[2]), start_time=int(fields[19]), depth=0)
        children.setdefault(int(fields[1]), []).append(process)
    found: list[_Process] = []
    parents = [(root, 0)]
    for parent, depth in parents:
        below = [process._replace(depth=depth + 1) for process in children.get(parent, [])]
        found.extend(below)
        parents.extend((process.pid, process.depth) for process in below)
    return found
