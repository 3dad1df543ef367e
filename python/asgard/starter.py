"""The starter: a small trusted process which forks runners in milliseconds, and starts launchers in sandboxes.

    python -I -S starter.py [BLANKS]

It reads requests from standard input, one JSON object a line:
    {"id": 1, "run": SPEC, "launcher": 7|null}     fork a runner (see `runner.py`), its script from a launcher
    {"id": 2, "launch": PROGRAM}                   start a launcher: `{"argv", "env", "cwd", "confinement"}`
    {"end": 7}                                     end a launcher; what came out of it goes on
and writes what happens to standard output, likewise:
    {"id": 1, "pid": 77, "identity": "..."}        the runner is up and handles signals
    {"id": 2, "launcher": 7}                       the launcher is importing
    {"launcher": 7, "ready": true, "loaded": ["json"]}   it has these top-level modules, so it says: it is not trusted
    {"launcher": 7, "ended": true}
    {"id": 1, "refused": "why"}
The blanks make room for what is shown as the arguments of its runners. No code of an environment ever runs in it, nor
in a runner. It ends when its standard input does, or what started it is gone; the runners go on.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
from typing import Any

_package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(_package_root)
from asgard.confinement import Confinement  # noqa: E402
from asgard.linux import be_first_to_go  # noqa: E402
from asgard.messages import receive  # noqa: E402
from asgard.process_tree import end_with_parent  # noqa: E402
from asgard.program import Program  # noqa: E402
from asgard.runner_process import fork_runner  # noqa: E402
from asgard.runner_spec import Spec  # noqa: E402
from asgard.sandbox import make_sandbox  # noqa: E402
from asgard.script_process import StartedScript, exec_script  # noqa: E402
from asgard.warm_start import LauncherLink, start_warm  # noqa: E402

sys.path.remove(_package_root)

_READ_BYTES = 64 * 1024


class Starter:
    """Serves requests, one after another: each takes milliseconds."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._selector.register(0, selectors.EVENT_READ)
        self._links: dict[int, LauncherLink] = {}
        self._last_launcher = 0
        self._rest = b""

    def serve(self) -> None:
        """Returns when standard input ends."""
        while True:
            for key, _ in self._selector.select():
                if key.fd == 0:
                    data = os.read(0, _READ_BYTES)
                    if not data:
                        return
                    *lines, self._rest = (self._rest + data).split(b"\n")
                    for line in lines:
                        self._take(json.loads(line))
                elif key.data in self._links:
                    self._hear(key.data, key.fileobj)

    def _take(self, request: dict[str, Any]) -> None:
        if "end" in request:
            self._end(request["end"])
            return
        try:
            answer = self._launch(request["launch"]) if "launch" in request else self._run(request)
        except (OSError, ValueError) as error:
            answer = {"refused": str(error)}
        _say({"id": request["id"], **answer})

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        link = self._links.get(request["launcher"])

        def start(spec: Spec) -> StartedScript:
            if link is None or spec.confinement is None:
                return exec_script(spec)
            return start_warm(spec, spec.confinement, link)

        return fork_runner(request["run"], start, [] if link is None else link.fds)

    def _launch(self, given: dict[str, Any]) -> dict[str, Any]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, open(os.devnull, "wb") as devnull:
            nothing = devnull.fileno()
            program = Program(given["argv"], given["env"], given["cwd"], theirs.fileno(), nothing, nothing)
            sandbox = make_sandbox(Confinement.parse(given["confinement"]), program, stays=True)
            sandbox.execute()
        self._last_launcher += 1
        self._links[self._last_launcher] = LauncherLink(ours, sandbox)
        for channel in (ours, sandbox.control):
            self._selector.register(channel, selectors.EVENT_READ, self._last_launcher)
        return {"launcher": self._last_launcher}

    def _hear(self, launcher: int, channel: Any) -> None:
        """It says that it is ready; everything else is its end."""
        with contextlib.suppress(OSError, EOFError, ValueError):
            record = receive(channel)
            if channel is self._links[launcher].requests and "ready" in record:
                _say({"launcher": launcher, "ready": True, "loaded": record.get("loaded")})
                return
        self._end(launcher)

    def _end(self, launcher: int) -> None:
        link = self._links.pop(launcher, None)
        if link is None:
            return
        with contextlib.suppress(OSError):
            link.sandbox.kill()
        for channel in (link.requests, link.sandbox.control):
            self._selector.unregister(channel)
            channel.close()
        link.sandbox.namespaces.close()
        _say({"launcher": launcher, "ended": True})


def _say(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serves."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the platform to act on
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # runners that have ended are not kept as zombies
    be_first_to_go()
    gc.freeze()
    Starter().serve()
    os._exit(0)


if __name__ == "__main__":
    main()
