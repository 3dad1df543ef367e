"""How a script gets from a launcher into the sandbox that a runner has made for it.

A runner sends the launcher a request, with the namespaces and the script's streams. A fork of the launcher that has
waited for it enters the namespaces and forks twice, so that the script's process becomes an orphan in there: init's,
which trusted code runs. It says which one it is and waits for the runner's word: a runner that has given up lets it
end.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
from typing import Any, NamedTuple, NoReturn

from asgard.confinement import Confinement
from asgard.linux import give_up_privileges, set_dumpable
from asgard.messages import receive, receive_with_fds, send
from asgard.namespaces import Namespaces
from asgard.process_tree import SandboxTree, end_with_parent
from asgard.program import Program
from asgard.runner_spec import Spec
from asgard.sandbox import Sandbox, make_sandbox
from asgard.script_process import Pipes, StartedScript, become_script, exec_script, script_program
from asgard.warm_script import Preloaded, run_script

_ANSWER_SECONDS = 5.0  # a fork takes some milliseconds
_TAKEN = b"."


class LauncherLink(NamedTuple):
    """A launcher, as the starter and the runners that it forks know it."""

    requests: socket.socket
    sandbox: Sandbox

    @property
    def fds(self) -> list[int]:
        """What a runner must keep open. The launcher's sandbox lasts as long as any of its runners."""
        return [self.requests.fileno(), self.sandbox.control.fileno(), *self.sandbox.namespaces]


def start_warm(spec: Spec, confinement: Confinement, link: LauncherLink) -> StartedScript:
    """Starts the script in a sandbox of its own within the launcher's: forked from it, or cold if it does not do it."""
    with Pipes() as pipes:
        program = script_program(spec, pipes)
        try:
            sandbox = make_sandbox(confinement, program, link.sandbox)
        except OSError:
            return exec_script(spec)  # the launcher's sandbox is gone
        if not _ask(spec, program, sandbox, link.requests):
            sandbox.execute()
        sandbox.namespaces.close()
        link.requests.close()  # once the starter has closed it too, the launcher ends
        return StartedScript(*pipes.ours(), SandboxTree(), None, sandbox.control)


def _ask(spec: Spec, program: Program, sandbox: Sandbox, requests: socket.socket) -> bool:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = os.memfd_create("spec")
    with ours:
        try:
            with theirs, os.fdopen(words, "wb", closefd=False) as file:
                file.write(json.dumps(_concerning_script(spec)).encode())
                file.flush()
                streams = (program.stdin, program.stdout, program.stderr)
                send(requests, {}, (theirs.fileno(), words, *streams, *sandbox.namespaces))
            if not _has_answer(ours):
                return False
            answer = receive(ours)
            if "pid" not in answer:
                return False
            sandbox.adopt(int(answer["pid"]))
            send(ours, {"go": True})
            return True
        except (OSError, EOFError):
            return False
        finally:
            os.close(words)


def _concerning_script(spec: Spec) -> dict[str, Any]:
    return {"argv": spec.argv, "env": spec.env, "cwd": spec.cwd} | _restraints(spec._asdict())


def _restraints(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("yields", "process_limit")}


def _has_answer(channel: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        return bool(selector.select(_ANSWER_SECONDS))


class Request:
    """The launcher's side of a request."""

    def __init__(self, fds: list[int]) -> None:
        self.answers = socket.socket(fileno=fds[0])
        self.words = fds[1]
        self.streams = (fds[2], fds[3], fds[4])
        self.namespaces = Namespaces(*fds[5:])

    @staticmethod
    def receive(requests: socket.socket) -> Request:
        """Raises EOFError when nobody can ask any more."""
        return Request(receive_with_fds(requests)[1])

    def spec(self) -> Spec:
        """What of a spec concerns the script's process."""
        size = os.fstat(self.words).st_size
        given: dict[str, Any] = json.loads(os.pread(self.words, size, 0))
        return Spec(given["argv"], given["env"], given["cwd"], "", 0, 0, 0, **_restraints(given))


def refuse_one(requests: socket.socket, reason: str) -> None:
    """Lets the runner that asks next start its script cold. This process then holds its descriptors until it ends."""
    with contextlib.suppress(OSError, EOFError):
        send(Request.receive(requests).answers, {"refused": reason})


def serve_one_by_fork(requests: socket.socket, preloaded: Preloaded) -> bool:
    """Forks a process that waits for a request and forks the script's. Whether it came that far, the runner hears.

    Returns once that process has its request; False when it ended without one, as nobody can ask any more.
    """
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.close(reader)
            _serve_one(requests, writer, preloaded)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as word:
        return word.read() == _TAKEN


def _serve_one(requests: socket.socket, taken: int, preloaded: Preloaded) -> None:
    end_with_parent()
    try:
        request = Request.receive(requests)
    except EOFError:
        return
    os.write(taken, _TAKEN)
    os.close(taken)
    # The launcher ignores it: the kernel would do away with a script that ends while its parent is still about to,
    # and init would wait for its end for ever.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request.namespaces.enter()
    if os.fork() == 0 and os.fork() == 0:
        _become_requested(request, preloaded)


def _become_requested(request: Request, preloaded: Preloaded) -> NoReturn:
    try:
        spec = request.spec()
        give_up_privileges()
        set_dumpable(True)  # entering took it away; a script may look into itself
        send(request.answers, {"pid": os.getpid()})
        receive(request.answers)
    except (OSError, EOFError):
        os._exit(70)  # nobody waits for it any more

    def run(spec: Spec) -> NoReturn:
        run_script(spec, preloaded)

    become_script(spec, request.streams, run)
