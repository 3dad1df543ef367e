"""The launcher in a sandbox: a warm process of one Python environment, which forks scripts into sandboxes in its own.

    python -u confined_launcher.py MODULE... [-- MODULE...]

It imports the modules (`preloaded.py`), with one thread and no secret. Standard input is a socket of messages: it
says first that it is ready, and then takes what runners ask for (`warm_start.py`). What it imports is not trusted: it
sees and can do no more than a script, and a runner believes it nothing about others' runs.
"""

from __future__ import annotations

import os
import socket
import sys

# The script's own folder takes this place in `sys.path`: what a script imports must not be found here.
_package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = _package_root
from asgard.preloaded import preload, why_no_fork  # noqa: E402
from asgard.sandbox import send  # noqa: E402
from asgard.warm_start import Request, fork_into_sandbox  # noqa: E402

sys.path[0] = os.getcwd()


def main() -> None:
    """Serves until nothing has the other end of the socket any more."""
    requests = socket.socket(fileno=os.dup(0))
    preloaded, ready = preload(sys.argv[1:])
    send(requests, ready)
    while True:
        try:
            request = Request.receive(requests)
        except EOFError:
            os._exit(0)  # at once: there is nothing to take down
        with request:
            reason = why_no_fork()
            if reason is None:
                fork_into_sandbox(request, preloaded)
            else:
                request.refuse(reason)
        if reason is not None:
            os._exit(0)  # it has a thread that a fork would lose, and would have it the next time


if __name__ == "__main__":
    main()
