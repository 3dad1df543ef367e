"""The launcher in a sandbox: a warm process of one Python environment, which forks scripts into sandboxes in its own.

    python -u confined_launcher.py MODULE... [-- MODULE...]

It imports the modules (`preloaded.py`), with one thread and no secret. Standard input is a socket of messages: it
says first that it is ready, and then takes what runners ask for (`warm_start.py`). One fork of it always waits for the
next request, as a fork of so much memory takes its time. What it imports is not trusted: it sees and can do no more
than a script, and a runner believes it nothing about others' runs.
"""

from __future__ import annotations

import os
import socket
import sys

# The script's own folder takes this place in `sys.path`: what a script imports must not be found here.
_package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = _package_root
from asgard.messages import send  # noqa: E402
from asgard.preloaded import preload, why_no_fork  # noqa: E402
from asgard.warm_start import refuse_one, serve_one_by_fork  # noqa: E402

sys.path[0] = os.getcwd()


def main() -> None:
    """Serves until nothing has the other end of the socket any more."""
    requests = socket.socket(fileno=os.dup(0))
    preloaded, ready = preload(sys.argv[1:])
    send(requests, ready)
    reason = why_no_fork()
    while reason is None and serve_one_by_fork(requests, preloaded):
        reason = why_no_fork()
    if reason is not None:
        refuse_one(requests, reason)  # it has a thread that a fork would lose, and would have it the next time
    os._exit(0)  # at once: there is nothing to take down


if __name__ == "__main__":
    main()
