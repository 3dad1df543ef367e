"""How a script gets from a launcher into the sandbox that a runner has made for it.

A runner sends the launcher a request, with the namespaces and the script's streams. A fork of the launcher enters the
namespaces and forks twice, so that the script's process becomes an orphan in there: init's, which trusted code runs. It
says which one it is and waits for the runner's word: a runner that has given up lets it end.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
from typing import Any, NamedTuple, NoReturn

from asgard.confinement import Confinement
from asgard.linux import give_up_privileges, set_dumpable
from asgard.process_tree import SandboxTree
from asgard.runner_spec import Spec
from asgard.sandbox import Namespaces, Program, Sandbox, make_sandbox, receive, receive_with_fds, send
from asgard.script_process import Pipes, StartedScript, become_script, exec_script
from asgard.warm_script import Preloaded, run_script

_ANSWER_SECONDS = 5.0  # a fork takes some milliseconds


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
        program = Program(spec.argv, spec.env, spec.cwd, *pipes.theirs)
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
                file.write(json.dumps({"argv": spec.argv, "env": spec.env, "cwd": spec.cwd}).encode())
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


def _has_answer(channel: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        return bool(selector.select(_ANSWER_SECONDS))


class Request:
    """The launcher's side of a request. To be closed, as a context, once it was served."""

    def __init__(self, fds: list[int]) -> None:
        self.answers = socket.socket(fileno=fds[0])
        self.words = fds[1]
        self.streams = (fds[2], fds[3], fds[4])
        self.namespaces = Namespaces(*fds[5:])

    @staticmethod
    def receive(requests: socket.socket) -> Request:
        """Raises EOFError when nobody can ask any more."""
        return Request(receive_with_fds(requests)[1])

    def refuse(self, reason: str) -> None:
        """Lets the runner start its script cold."""
        send(self.answers, {"refused": reason})

    def spec(self) -> Spec:
        """What of a spec concerns the script's process."""
        size = os.fstat(self.words).st_size
        given: dict[str, Any] = json.loads(os.pread(self.words, size, 0))
        return Spec(given["argv"], given["env"], given["cwd"], "", 0, 0, 0)

    def __enter__(self) -> Request:
        return self

    def __exit__(self, *_error: object) -> None:
        self.answers.close()
        for fd in (self.words, *self.streams, *self.namespaces):
            os.close(fd)


def fork_into_sandbox(request: Request, preloaded: Preloaded) -> None:
    """Forks the script's process. Whether it came that far, the runner hears from it."""
    if os.fork() != 0:
        return
    try:
        # The launcher ignores it: the kernel would do away with a script that ends while its parent is still about to,
        # and init would wait for its end for ever.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        request.namespaces.enter()
        if os.fork() == 0 and os.fork() == 0:
            _become_requested(request, preloaded)
    finally:
        os._exit(0)


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
