"""Two ways to make the process of a script: a new interpreter, or a fork of this one, which has imported much."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import traceback
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from asgard.process_tree import die_with_parent
from asgard.runner_spec import Spec

_PIPE_BYTES = 1024 * 1024  # the most that Linux gives an ordinary user; 64 KiB would wake the runner far more often


class StartedScript(NamedTuple):
    """A script's process, and the reading ends of its pipes."""

    pid: int
    stdout: int
    stderr: int
    was_reaped: Callable[[], None]
    """To be called once the process has been waited for by its pid."""


StartScript = Callable[[Spec], StartedScript]
"""Raises OSError, ValueError or subprocess.SubprocessError when the process cannot be made."""


def exec_script(spec: Spec) -> StartedScript:
    """Starts the spec's program."""
    # In UTF-8 whatever the locale is: words and values reach the script as they were given.
    process = subprocess.Popen(
        [word.encode() for word in spec.argv],
        env={name.encode(): value.encode() for name, value in spec.env.items()},
        cwd=spec.cwd.encode(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=die_with_parent(),  # safe, as this process has one thread
    )
    assert process.stdout is not None and process.stderr is not None

    def was_reaped() -> None:
        process.returncode = 0  # without one Popen would warn about, and wait for, a process that is still running

    stdout, stderr = process.stdout.fileno(), process.stderr.fileno()
    _widen(stdout, stderr)
    return StartedScript(process.pid, stdout, stderr, was_reaped)


def fork_script(spec: Spec, run: Callable[[Spec], NoReturn]) -> StartedScript:
    """Forks this process, which must have one thread, and has the child `run` the spec's script.

    Working directory, environment, streams, signals and session are then as a new program would find them.
    """
    if not os.path.isdir(spec.cwd):
        raise FileNotFoundError(2, os.strerror(2), spec.cwd.encode())
    stdout, stdout_writer = os.pipe()
    stderr, stderr_writer = os.pipe()
    prepare = die_with_parent()
    pid = os.fork()
    if pid == 0:
        try:
            prepare()
            os.setsid()
            with open(os.devnull, "rb") as devnull:
                os.dup2(devnull.fileno(), 0)
            os.dup2(stdout_writer, 1)
            os.dup2(stderr_writer, 2)
            close_other_descriptors()
            restore_signals()
            os.chdir(spec.cwd)
            os.environ.clear()
            os.environ.update(spec.env)
            run(spec)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(70)  # whatever happens, it must not go on as what it was forked from
    os.close(stdout_writer)
    os.close(stderr_writer)
    _widen(stdout, stderr)
    return StartedScript(pid, stdout, stderr, lambda: None)


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


def _widen(*pipes: int) -> None:
    for pipe in pipes:
        # Not every system has it, and a user may have too many large pipes: then it stays as it is.
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
