"""Process 1 of a sandbox: starts its program, reaps, and tells how the program ended."""

from __future__ import annotations

import os
import selectors
import signal
import socket
from typing import NoReturn

from asgard.linux import MS_NODEV, MS_NOEXEC, MS_NOSUID, give_up_privileges, mount, set_dumpable
from asgard.messages import receive, send
from asgard.namespaces import Namespaces
from asgard.program import Program, execute


def become_init(program: Program, control: socket.socket, stays: bool) -> NoReturn:
    """Makes this process, the first in its PID namespace, the init of a sandbox. It obeys what comes over `control`."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # from in there the kernel keeps them from pid 1
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    give_up_privileges()
    set_dumpable(False)
    namespaces = Namespaces.own()
    send(control, {"uid": os.getuid()}, tuple(namespaces))
    namespaces.close()
    _Init(program, control, stays).run()


class _Init:
    def __init__(self, program: Program, control: socket.socket, stays: bool) -> None:
        self._program = program
        self._stays = stays
        self._control = control
        self._main = 0
        self._ended: dict[int, int] = {}
        self._has_told = False

    def run(self) -> NoReturn:
        wakeup, writer = os.pipe()
        for fd in (wakeup, writer):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        selector = selectors.PollSelector()
        selector.register(wakeup, selectors.EVENT_READ)
        selector.register(self._control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self._control:
                    self._obey()
                else:
                    os.read(wakeup, 4096)
            self._reap()

    def _obey(self) -> None:
        try:
            message = receive(self._control)
        except EOFError:
            os._exit(0)  # without its runner nothing in here may go on
        if "kill" in message:
            if not self._has_told:
                os.kill(self._main, signal.SIGKILL)
            return
        if "main" in message:
            self._main = message["main"]
        else:
            self._execute(self._program)
        if self._main:
            for fd in self._program.fds:
                os.close(fd)

    def _execute(self, program: Program) -> None:
        try:
            self._main = execute(program, program.prepare).pid
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                filename = error.filename.decode() if isinstance(error.filename, bytes) else None
                send(self._control, {"failed": [error.errno, error.strerror, filename]})
            else:
                send(self._control, {"failed": [0, str(error), None]})
            return
        send(self._control, {"main": self._main})

    def _reap(self) -> None:
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                self._ended[pid] = status
        except ChildProcessError:
            if self._has_told and not self._stays:
                os._exit(0)
        if not self._has_told and self._main in self._ended:
            self._has_told = True
            send(self._control, {"ended": self._ended[self._main]})
            self._reap()
        if self._main:
            self._ended.clear()
