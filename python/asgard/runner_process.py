"""Forks a runner from this process, which has one thread."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any

from asgard.process_title import show_as
from asgard.process_tree import own_identity
from asgard.program import close_all_but
from asgard.runner_spec import Spec
from asgard.script_process import StartScript
from asgard.supervisor import catch_signals, supervise


def fork_runner(given: Any, start_script: StartScript, kept: Iterable[int] = ()) -> dict[str, Any]:
    """Forks one for a spec as `runner.py` describes it, in a session of its own.

    No descriptor but those `kept` is open in it. Returns its `pid` and `identity` once it handles signals, or why it is
    `refused`.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            close_all_but([writer, *kept])
            wakeup = catch_signals()
            spec = Spec.parse(json.dumps(given).encode())
            show_as([sys.executable, "runner.py", spec.spool], {})
            os.write(writer, own_identity().encode())
            os.close(writer)
            os._exit(supervise(spec, wakeup, start_script))
        finally:
            os._exit(70)
    os.close(writer)
    with os.fdopen(reader, "rb") as up:
        identity = up.read().decode()
    return {"pid": pid, "identity": identity} if identity else {"refused": "the runner could not be started"}
