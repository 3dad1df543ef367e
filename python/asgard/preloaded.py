"""What launchers have in common: modules that were imported before any fork, by a process with one thread."""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from asgard.warm_script import Preloaded

_IMPORT_SECONDS = 120  # a launcher that is not ready by then has a module that waits for something


def preload(names: list[str]) -> tuple[Preloaded, dict[str, Any]]:
    """Imports the modules, as far as there are any. Returns all that are there now, and a record that says so.

    Those after `--` only some scripts import: none of the others may notice. When one of them leaves a trace this
    program is executed anew without it.
    """
    started = time.monotonic()
    signal.alarm(_IMPORT_SECONDS)
    environment, folder = dict(os.environ), os.getcwd()
    split = names.index("--") if "--" in names else len(names)
    for name in names[:split]:
        _import(name)
    culprit = _import_without_trace(names[split + 1 :])
    if culprit is not None:
        os.chdir(folder)
        os.execve(sys.orig_argv[0], [word for word in sys.orig_argv if word != culprit], environment)
    signal.alarm(0)
    threadpoolctl = sys.modules.get("threadpoolctl")
    preloaded = Preloaded(frozenset(sys.modules), threadpoolctl and threadpoolctl.ThreadpoolController())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the platform to act on
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what was forked and has ended is not kept as a zombie
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page of what is shared
    loaded = sorted(name for name in preloaded.modules if "." not in name)
    return preloaded, {"ready": True, "loaded": loaded, "seconds": round(time.monotonic() - started, 3)}


def why_no_fork() -> str | None:
    """Why a fork of this process would not be safe; None when it would be."""
    threads = len(os.listdir("/proc/self/task"))
    return f"a preloaded module has started {threads - 1} threads, which a fork would lose" if threads > 1 else None


def _import_without_trace(names: list[str]) -> str | None:
    """Imports the modules up to the first that leaves a trace, which is returned."""
    with _output_in_file() as output:
        before = _traces(output)
        for name in names:
            _import(name)
            if _traces(output) != before:
                return name
    return None


def _import(name: str) -> None:
    # An environment may lack it; what cannot be imported here cannot be there either, and the script will say so.
    with contextlib.suppress(BaseException):
        importlib.import_module(name)


def _traces(output: int) -> tuple[Any, ...]:
    """What an import can leave in the process beside modules. A fork loses some of it, and shows the rest to all."""
    return (
        len(os.listdir("/proc/self/task")),
        len(os.listdir("/proc/self/fd")),
        os.fstat(output).st_size,
        dict(os.environ),
        os.getcwd(),
        [signal.getsignal(number) for number in signal.valid_signals()],
        (
            sys.excepthook,
            sys.displayhook,
            threading.excepthook,
            sys.stdout,
            sys.stderr,
            sys.gettrace(),
            sys.getprofile(),
        ),
        ([*sys.path], [*sys.meta_path]),
        (logging.root.level, [*logging.root.handlers]),
        dict(vars(builtins)),
    )


@contextlib.contextmanager
def _output_in_file() -> Iterator[int]:
    """What is printed goes to a file, whose descriptor this gives; the streams stay the same objects."""
    output = os.memfd_create("output")
    kept = [(fd, os.dup(fd)) for fd in (1, 2)]
    for fd, _ in kept:
        os.dup2(output, fd)
    try:
        yield output
    finally:
        for fd, copy in kept:
            os.dup2(copy, fd)
            os.close(copy)
        os.close(output)
