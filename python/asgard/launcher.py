"""The launcher: a warm process of one Python environment, which forks runners and their scripts in milliseconds.

    python -u launcher.py MODULE...

It imports the modules (those that it has), with one thread and no secret, and then reads requests from standard input,
one JSON object a line: `{"id": 1, "spec": {...}}`, the spec as `runner.py` describes it. On standard output it writes
one line for each thing that happens:
    {"ready": true, "modules": 1234, "seconds": 3.2}                first: everything is imported
    {"id": 1, "pid": 77, "identity": "..."}                         the runner is up and handles signals
    {"id": 1, "refused": "why"}                                     start this one cold: a fork would not be safe
It ends when its standard input does, or what started it is gone; the runners go on. A runner is in a session of its
own, and no descriptor of the launcher is open in it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import time
from typing import Any, NoReturn

# The script's own folder takes this place in `sys.path`: what a script imports must not be found here.
_package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = _package_root
from asgard.process_title import show_as  # noqa: E402
from asgard.process_tree import end_with_parent, own_identity  # noqa: E402
from asgard.runner_spec import Spec  # noqa: E402
from asgard.script_process import fork_script  # noqa: E402
from asgard.supervisor import catch_signals, supervise  # noqa: E402
from asgard.warm_script import PRELOADED, run_script  # noqa: E402

sys.path[0] = os.getcwd()


def main() -> None:
    """Serves until standard input ends."""
    end_with_parent()  # also while it imports, when it does not look at its input
    started = time.monotonic()
    for name in sys.argv[1:]:
        # An environment may lack it; what cannot be imported here cannot be there either, and the script will say so.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    preloaded = frozenset(sys.modules)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the platform to act on
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # runners that have ended are not kept as zombies
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page of what is shared
    _say({"ready": True, "modules": len(preloaded), "seconds": round(time.monotonic() - started, 3)})
    for line in sys.stdin:
        request = json.loads(line)
        _say({"id": request["id"], **_launch(request["spec"], preloaded)})
    os._exit(0)  # at once: there is nothing to take down


def _launch(given: Any, preloaded: PRELOADED) -> dict[str, Any]:
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return {"refused": f"a preloaded module has started {threads - 1} threads, which a fork would lose"}
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _become_runner(given, preloaded, writer)
        finally:
            os._exit(70)
    os.close(writer)
    with os.fdopen(reader, "rb") as up:
        identity = up.read().decode()
    return {"pid": pid, "identity": identity} if identity else {"refused": "the runner could not be started"}


def _become_runner(given: Any, preloaded: PRELOADED, up: int) -> NoReturn:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for fd, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY)):
        devnull = os.open(os.devnull, mode)
        os.dup2(devnull, fd)
        os.close(devnull)
    kept = os.dup2(up, 3) if up != 3 else 3
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    wakeup = catch_signals()
    spec = Spec.parse(json.dumps(given).encode())
    show_as([sys.executable, "runner.py", spec.spool], {})
    os.write(kept, own_identity().encode())
    os.close(kept)

    def run(spec: Spec) -> NoReturn:
        run_script(spec, preloaded)

    os._exit(supervise(spec, wakeup, lambda spec: fork_script(spec, run)))


def _say(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
