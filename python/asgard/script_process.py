"""Ways to make the process of a script: a new interpreter, or a fork of this one, which has imported much."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import socket
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn

from asgard.confinement import own_uid
from asgard.linux import become, give_up_privileges
from asgard.process_tree import ProcessTree, SandboxTree, die_with_parent
from asgard.program import Program, execute
from asgard.runner_spec import Spec
from asgard.sandbox import make_sandbox

_NICENESS = 5  # a third of the CPU time of an ordinary process, when both want it
_PIPE_BYTES = 1024 * 1024  # the most that Linux gives an ordinary user; 64 KiB would wake the runner far more often


class StartedScript(NamedTuple):
    """A script's process, and the reading ends of its pipes."""

    stdout: int
    stderr: int
    tree: ProcessTree | SandboxTree
    pid: int | None
    """Of the script's main process, a child of this one. None: in a sandbox, of which `control` tells the end."""
    control: socket.socket | None = None


StartScript = Callable[[Spec], StartedScript]
"""Raises OSError, ValueError or subprocess.SubprocessError when the process cannot be made."""


def exec_script(spec: Spec) -> StartedScript:
    """Starts the spec's program, confined as the spec says."""
    with Pipes() as pipes:
        confinement = spec.confinement
        program = script_program(spec, pipes)
        if confinement is None:
            pid = execute(program, _become_script_of(spec, None)).pid
            return StartedScript(*pipes.ours(), ProcessTree(pid), pid)
        if confinement.level == "account":
            uid = own_uid()
            confinement.open_ways()
            confinement.give_to(uid)
            pid = execute(program, _become_script_of(spec, uid)).pid
            return StartedScript(*pipes.ours(), ProcessTree(pid), pid)
        sandbox = make_sandbox(confinement, program)
        sandbox.namespaces.close()
        sandbox.execute()
        return StartedScript(*pipes.ours(), SandboxTree(), None, sandbox.control)


def script_program(spec: Spec, pipes: Pipes) -> Program:
    """The spec's program, for a sandbox."""
    return Program(spec.argv, spec.env, spec.cwd, *pipes.theirs, prepare=partial(restrain, spec))


def restrain(spec: Spec) -> None:
    """From now on this process, and what comes out of it, takes no more of the machine than the spec's script may.

    It gets less of a busy CPU than what watches it, as scripts like to take all there is, and so many processes.
    """
    if spec.yields:
        os.setpriority(os.PRIO_PROCESS, 0, max(os.getpriority(os.PRIO_PROCESS, 0), _NICENESS))
    if spec.process_limit is not None:
        _, most = resource.getrlimit(resource.RLIMIT_NPROC)
        limit = spec.process_limit if most == resource.RLIM_INFINITY else min(spec.process_limit, most)
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))


def fork_script(spec: Spec, run: Callable[[Spec], NoReturn]) -> StartedScript:
    """Forks this process, which must have one thread, and has the child `run` the spec's script.

    Working directory, environment, streams, signals and session are then as a new program would find them.
    """
    if not os.path.isdir(spec.cwd):
        raise FileNotFoundError(2, os.strerror(2), spec.cwd.encode())
    prepare = die_with_parent()
    with Pipes() as pipes:
        pid = os.fork()
        if pid == 0:
            try:
                prepare()
                become_script(spec, pipes.theirs, run)
            finally:
                os._exit(70)
        return StartedScript(*pipes.ours(), ProcessTree(pid), pid)


def become_script(spec: Spec, streams: tuple[int, int, int], run: Callable[[Spec], NoReturn]) -> NoReturn:
    """Makes this process, which was forked from a warm one, what a new program is, and runs the script in it."""
    try:
        os.setsid()
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        close_other_descriptors()
        restore_signals()
        os.chdir(spec.cwd)
        restrain(spec)
        os.environ.clear()
        os.environ.update(spec.env)
        run(spec)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(70)  # whatever happens, it must not go on as what it was forked from


def close_other_descriptors() -> None:
    """Closes all but standard input, output and error."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def restore_signals() -> None:
    """Every signal as a new program finds it."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):  # those that the C library keeps for itself
            signal.signal(number, signal.SIG_DFL)
    # As Python itself sets them at its start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _become_script_of(spec: Spec, uid: int | None) -> Callable[[], None]:
    die = die_with_parent()

    def in_child() -> None:
        restrain(spec)
        if uid is not None:
            become(uid)
            give_up_privileges()
        die()

    return in_child


class Pipes:
    """Pipes of a script's output, and nothing as its input. What is the script's own is closed at the end."""

    def __enter__(self) -> Pipes:
        self._stdout, stdout_writer = os.pipe()
        self._stderr, stderr_writer = os.pipe()
        self.theirs = (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), stdout_writer, stderr_writer)
        self._is_taken = False
        return self

    def ours(self) -> tuple[int, int]:
        """The reading ends, which are the caller's from now on."""
        self._is_taken = True
        for pipe in (self._stdout, self._stderr):
            # Not every system has it, and a user may have too many large pipes: then it stays as it is.
            with contextlib.suppress(OSError, AttributeError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return self._stdout, self._stderr

    def __exit__(self, *_error: Any) -> None:
        for fd in self.theirs if self._is_taken else (*self.theirs, self._stdout, self._stderr):
            os.close(fd)
