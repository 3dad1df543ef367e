"""The launcher where scripts cannot be set apart: a warm process of one Python environment, which forks runners.

    python -u launcher.py MODULE... [-- MODULE...]

It imports the modules (`preloaded.py`), with one thread and no secret, and then reads requests from standard input,
one JSON object a line: `{"id": 1, "spec": {...}}`, the spec as `runner.py` describes it. On standard output it writes
one line for each thing that happens:
    {"ready": true, "loaded": ["json"], "seconds": 3.2}             first: it has these top-level modules
    {"id": 1, "pid": 77, "identity": "..."}                         the runner is up and handles signals
    {"id": 1, "refused": "why"}                                     start this one cold: a fork would not be safe
It ends when its standard input does, or what started it is gone; the runners go on. A runner is in a session of its
own, and no descriptor of the launcher is open in it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NoReturn

# The script's own folder takes this place in `sys.path`: what a script imports must not be found here.
_package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = _package_root
from asgard.linux import be_first_to_go  # noqa: E402
from asgard.preloaded import preload, why_no_fork  # noqa: E402
from asgard.process_tree import end_with_parent  # noqa: E402
from asgard.runner_process import fork_runner  # noqa: E402
from asgard.runner_spec import Spec  # noqa: E402
from asgard.script_process import fork_script  # noqa: E402
from asgard.warm_script import Preloaded, run_script  # noqa: E402

sys.path[0] = os.getcwd()


def main() -> None:
    """Serves until standard input ends."""
    be_first_to_go()
    end_with_parent()  # also while it imports, when it does not look at its input
    preloaded, ready = preload(sys.argv[1:])
    _say(ready)
    for line in sys.stdin:
        request = json.loads(line)
        _say({"id": request["id"], **_launch(request["spec"], preloaded)})
    os._exit(0)  # at once: there is nothing to take down


def _launch(given: Any, preloaded: Preloaded) -> dict[str, Any]:
    reason = why_no_fork()
    if reason is not None:
        return {"refused": reason}

    def run(spec: Spec) -> NoReturn:
        run_script(spec, preloaded)

    return fork_runner(given, lambda spec: fork_script(spec, run))


def _say(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
