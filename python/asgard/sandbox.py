"""A sandbox: user, PID, mount and IPC namespaces of one run, or of one launcher, with a trusted process as its init.

    runner ── keeper ── init (pid 1 in there) ── the script, and whatever came out of it

The keeper is outside the PID namespace and does nothing but wait, so that what the run has used adds up in the runner.
Init reaps, and tells the runner how the script ended. It ends when the runner does, and with it the kernel ends all
that is in there. No process in there can see, signal or look into runner, keeper or init.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import NoReturn

from asgard.confinement import Confinement, own_uid
from asgard.file_view import arrange_files
from asgard.linux import (
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    become,
    set_dumpable,
    set_namespace,
    unshare,
)
from asgard.messages import receive, receive_with_fds, send
from asgard.namespaces import Namespaces
from asgard.process_title import show_as
from asgard.program import Program, close_all_but
from asgard.sandbox_init import become_init


class Sandbox:
    """The runner's side of a sandbox."""

    def __init__(self, control: socket.socket, namespaces: Namespaces, uid: int) -> None:
        self.control = control
        """Where init tells how its main process ended. It is at its end when init is gone, and all else in there."""
        self.namespaces = namespaces
        self.uid = uid

    def execute(self) -> None:
        """Executes the program in there. Raises OSError or ValueError."""
        send(self.control, {"execute": True})
        answer = receive(self.control)
        if "failed" in answer:
            number, text, filename = answer["failed"]
            if number == 0:
                raise ValueError(text)
            raise OSError(number, text, None if filename is None else filename.encode())

    def adopt(self, pid: int) -> None:
        """Names the process, an orphan in there, of which the end is to be told. It takes the program's place."""
        send(self.control, {"main": pid})

    def kill(self) -> None:
        """Ends the program, and not what is in sandboxes within this one. Raises OSError when all is gone already."""
        send(self.control, {"kill": True})


def make_sandbox(
    confinement: Confinement, program: Program, within: Sandbox | None = None, *, stays: bool = False
) -> Sandbox:
    """Makes one for the program, which is not executed yet. Raises OSError.

    `within` is a sandbox that is to contain it, with the same user. One that `stays` goes on when all of its processes
    have ended, until no process holds `control` any more.
    """
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        try:
            close_all_but([theirs.fileno(), *program.fds, *(within.namespaces if within else ())])
            _become_keeper(confinement, program, within, theirs, stays)
        except BaseException as error:
            number = error.errno if isinstance(error, OSError) else 0
            text = f"the script could not be set apart: {error.strerror if isinstance(error, OSError) else error!r}"
            with contextlib.suppress(OSError):
                send(theirs, {"failed": [number or 0, text, None]})
        finally:
            os._exit(70)
    theirs.close()
    message, fds = receive_with_fds(control)
    if len(fds) != len(Namespaces._fields):
        control.close()
        number, text, _ = message.get("failed", [0, "the script could not be set apart", None])
        raise OSError(number, text)
    return Sandbox(control, Namespaces(*fds), message["uid"])


def _become_keeper(
    confinement: Confinement, program: Program, within: Sandbox | None, control: socket.socket, stays: bool
) -> NoReturn:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    show_as(["sandbox.py", "keeper", confinement.tmp], {})
    umask = os.umask(0o022)
    is_root = os.geteuid() == 0
    if is_root:
        uid = own_uid() if within is None else within.uid
        confinement.give_to(uid)
        # Root can enter every folder that is to be shown, and the user that it becomes cannot.
        unshare(CLONE_NEWNS)
        arrange_files(confinement, program.argv[0], _is_closed_to_others)
        become(uid)
    if within is not None:
        set_namespace(within.namespaces.user, CLONE_NEWUSER)
        set_namespace(within.namespaces.pid, CLONE_NEWPID)
        if os.fork() != 0:
            os._exit(0)
        within.namespaces.close()
    user, group = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID)
    _map(user, group)
    if not is_root:
        arrange_files(confinement, program.argv[0], lambda _folder: False)
    os.umask(umask)
    if os.fork() == 0:
        try:
            show_as(["sandbox.py", "init", confinement.tmp], {})
            become_init(program, control, stays)
        finally:
            os._exit(70)
    close_all_but([])
    os.wait()
    os._exit(0)


def _map(user: int, group: int) -> None:
    """The user is in the new namespace who it was, and nobody else is there."""
    set_dumpable(True)  # these files are root's otherwise
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    set_dumpable(False)


def _is_closed_to_others(folder: str) -> bool:
    return not os.stat(folder).st_mode & 0o001
