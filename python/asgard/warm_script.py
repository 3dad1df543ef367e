"""Runs a script in a process that was forked from a warm one, as `python -u script.py` would run it in a new one."""

from __future__ import annotations

import atexit
import builtins
import gc
import importlib.machinery
import io
import os
import random
import signal
import sys
import tempfile
import threading
import time
import types
from typing import Any, NamedTuple, NoReturn

from asgard.process_title import show_as
from asgard.runner_spec import Spec


class Preloaded(NamedTuple):
    """What was there before the fork."""

    modules: frozenset[str]
    """Names of the modules that were imported."""
    thread_pools: Any
    """threadpoolctl's controller of the numerical libraries among them; to find them takes long. None without it."""


def run_script(spec: Spec, preloaded: Preloaded) -> NoReturn:
    """Runs `spec.argv[-1]`, a file in the working directory, to its end, and ends this process as Python would."""
    _reopen_streams()
    time.tzset()
    tempfile.tempdir = None  # a preloaded module may have asked for it, and got the launcher's
    _reseed()
    _restore_threads(preloaded.thread_pools)
    # What marks the run goes first: it must not be what there is no room for.
    show_as(spec.argv, dict(reversed(spec.env.items())))
    name = spec.argv[-1]
    path = os.path.join(os.getcwd(), name)
    sys.argv[:] = [name]
    sys.orig_argv[:] = spec.argv
    sys.path[:1] = [os.getcwd(), *_python_path()]
    main = types.ModuleType("__main__")
    main.__dict__.update(
        {
            "__file__": path,
            "__cached__": None,
            "__loader__": importlib.machinery.SourceFileLoader("__main__", path),
            "__builtins__": builtins,
            "__annotations__": {},
        }
    )
    sys.modules["__main__"] = main
    code = _execute(path, main)
    _finish(main, code, preloaded)


def _python_path() -> list[str]:
    """What Python makes of PYTHONPATH at its start."""
    given = os.environ.get("PYTHONPATH", "")
    return [os.path.abspath(path) for path in given.split(os.pathsep)] if given else []


def _execute(path: str, main: types.ModuleType) -> int:
    """Returns the exit code. As Python does it: what was not caught goes to `sys.excepthook`."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)
    except SystemExit as exit_:
        return _code_of(exit_)
    except BaseException as error:
        trace = error.__traceback__
        # Frames of this file are no part of the script.
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        error.__traceback__ = trace
        sys.excepthook(type(error), error, trace)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _code_of(exit_: SystemExit) -> int:
    if exit_.code is None:
        return 0
    if isinstance(exit_.code, int):
        return exit_.code & 0xFF
    print(exit_.code, file=sys.stderr)
    return 1


def _finish(main: types.ModuleType, code: int, preloaded: Preloaded) -> NoReturn:
    """What Python does at its end, for what the script made: to take down what was there before would take long.

    Threads are waited for, exit handlers called, and the modules of the script emptied, so that files that it left open
    are written.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    for module in [main, *_modules_since(preloaded)]:
        _empty(module)
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        try:
            if not stream.closed:
                stream.flush()
        except (OSError, ValueError, AttributeError):
            code = code or 120  # Python's own word for it
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _modules_since(preloaded: Preloaded) -> list[Any]:
    """What was imported since, the oldest first.

    The newest are looked at first, up to one that was there before: to touch some thousand modules copies as many pages
    of what is shared, which takes as long as all else of a start.
    """
    own: list[Any] = []
    for name in reversed(sys.modules):
        if name in preloaded.modules:  # `__main__` too, whose place is an early one
            break
        own.append(sys.modules[name])
    return own[::-1]


def _empty(module: Any) -> None:
    """In the order in which Python takes a module's names away: private ones first, its builtins last."""
    names = getattr(module, "__dict__", {})
    for name in [name for name in names if name.startswith("_") and not name.startswith("__")]:
        names[name] = None
    for name in [name for name in names if name != "__builtins__"]:
        names[name] = None


def _reopen_streams() -> None:
    """As `-u` makes them: what is printed is written at once."""
    for name, mode, fd in (("stdin", "r", 0), ("stdout", "w", 1), ("stderr", "w", 2)):
        inherited = getattr(sys, name)
        raw = io.FileIO(fd, mode, closefd=False)
        raw.name = f"<{name}>"
        buffer = io.BufferedReader(raw) if mode == "r" else raw
        encoding, errors = inherited.encoding, inherited.errors
        stream = io.TextIOWrapper(buffer, encoding, errors, write_through=mode == "w")  # type: ignore[arg-type]
        stream.mode = mode
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _reseed() -> None:
    """Two scripts must not draw the same numbers: their generators were copied with the process."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.seed()


def _restore_threads(pools: Any) -> None:
    """Numerical libraries were loaded with one thread; they get as many as they would have taken by themselves."""
    if pools is None:
        return
    asked = os.environ.get("OMP_NUM_THREADS", "")
    pools.limit(limits=int(asked) if asked.isdigit() else len(os.sched_getaffinity(0)))
