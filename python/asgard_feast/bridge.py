"""The bridge: Feast and pyiceberg in one process, asked by the platform over two pipes.

    python -I -O bridge.py --requests-fd 3 --responses-fd 4

One JSON object a line. The first line that it reads is its settings (`context.Settings`), the first that it writes is
`{"ready":true}`, or `{"ready":false,"error":"..."}`, after which it exits with 1. Then, several at once:

    {"id":1,"method":"store.status","params":{}}
    {"id":1,"progress":{"done":3}}             any number of them, before the answer
    {"id":1,"result":{"feature_views":2}}
    {"id":1,"error":{"code":"NOT_FOUND","message":"...","issues":[]}}
    {"cancel":1}                               nobody waits for that answer any more; there is one all the same

Standard output and error are nobody's protocol: what Feast prints goes there.
It exits at the end of the requests, when the other end of the responses is gone, and with what started it.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

# Run with -I, Python looks for modules in its own library alone.
sys.path.append(str(Path(__file__).resolve().parent.parent))
from asgard.process_tree import end_with_parent
from asgard_feast.errors import answer_of

MAX_THREADS = 8
"""How many requests are worked on at once; the platform sends no more than that."""


def main() -> int:
    """Serves until the requests end; returns the exit code."""
    arguments = _arguments()
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of a terminal's processes; ours is told otherwise
    if os.geteuid() == 0:
        os.umask(0o022)  # scripts read the files of tables, and run under other accounts then
    for fd in (arguments.requests_fd, arguments.responses_fd):
        os.set_inheritable(fd, False)  # a process that Feast starts must not hold them open
    threading.Thread(target=_exit_when_deserted, args=(arguments.responses_fd,), daemon=True).start()
    with os.fdopen(arguments.requests_fd, "rb") as requests, os.fdopen(arguments.responses_fd, "wb") as responses:
        answers = Answers(responses)
        try:
            bridge = Bridge(json.loads(requests.readline()), answers)
        except Exception as error:
            traceback.print_exc()
            answers.send({"ready": False, "error": f"{type(error).__name__}: {error}"})
            return 1
        answers.send({"ready": True})
        for line in requests:
            bridge.take(json.loads(line))
        # Whoever asked is gone. What is being committed to a database commits or does not; nothing waits for it.
        sys.stderr.flush()
        os._exit(0)


class Answers:
    """Writes lines, whichever thread has one."""

    def __init__(self, responses: BinaryIO) -> None:
        self._responses = responses
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Raises ValueError or TypeError, and writes nothing, when the message is no JSON."""
        # In ASCII: a text may hold half of a surrogate pair, which UTF-8 cannot carry and an escape can.
        data = json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            with self._lock:
                self._responses.write(data)
                self._responses.flush()
        except BrokenPipeError:
            os._exit(0)  # deserted, as below


class Bridge:
    """Hands requests to threads."""

    def __init__(self, settings: dict[str, Any], answers: Answers) -> None:
        # In this order: tables need nothing of Feast's, whose import goes on behind.
        import pyiceberg.catalog  # noqa: F401

        from asgard_feast.context import Settings, Shared

        self._shared = Shared(Settings(store=settings["store"], folder=Path(settings["folder"])))
        self._answers = answers
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="request")
        self._lock = threading.Lock()
        self._cancelled: dict[int, threading.Event] = {}

    def take(self, message: dict[str, Any]) -> None:
        """Begins a request, or notes that one is cancelled."""
        if "cancel" in message:
            with self._lock:
                event = self._cancelled.get(message["cancel"])
            if event is not None:
                event.set()
            return
        event = threading.Event()
        with self._lock:
            self._cancelled[message["id"]] = event
        self._threads.submit(self._answer, message["id"], message["method"], message["params"], event)

    def _answer(self, request_id: int, method: str, params: dict[str, Any], cancelled: threading.Event) -> None:
        from asgard_feast.context import Context
        from asgard_feast.methods import find

        def progress(message: dict[str, Any]) -> None:
            self._answers.send({"id": request_id, "progress": message})

        try:
            context = Context(self._shared, progress, cancelled)
            context.raise_if_cancelled()
            self._answers.send({"id": request_id, "result": find(method, self._shared.wait_for_feast)(context, params)})
        except BaseException as error:  # a thread that let one pass would leave its caller without an answer
            self._answers.send({"id": request_id, "error": answer_of(error)})
        finally:
            with self._lock:
                del self._cancelled[request_id]


def _exit_when_deserted(responses_fd: int) -> None:
    """Ends the process when nobody can read a response any more: what hangs must not stay behind."""
    poll = select.poll()
    poll.register(responses_fd, 0)  # an end that is gone is always reported
    poll.poll()
    os._exit(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serves the feature store over two pipes.")
    parser.add_argument("--requests-fd", type=int, required=True, help="descriptor that requests are read from")
    parser.add_argument("--responses-fd", type=int, required=True, help="descriptor that responses are written to")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
