"""What launchers have in common: modules that were imported before any fork, by a process with one thread."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
import time
from typing import Any

from asgard.warm_script import PRELOADED


def preload(names: list[str]) -> tuple[PRELOADED, dict[str, Any]]:
    """Imports the modules, as far as there are any. Returns all that are there now, and a record that says so."""
    started = time.monotonic()
    for name in names:
        # An environment may lack it; what cannot be imported here cannot be there either, and the script will say so.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    preloaded = frozenset(sys.modules)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the platform to act on
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what was forked and has ended is not kept as a zombie
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page of what is shared
    return preloaded, {"ready": True, "modules": len(preloaded), "seconds": round(time.monotonic() - started, 3)}


def why_no_fork() -> str | None:
    """Why a fork of this process would not be safe; None when it would be."""
    threads = len(os.listdir("/proc/self/task"))
    return f"a preloaded module has started {threads - 1} threads, which a fork would lose" if threads > 1 else None
