"""A sandbox: user, PID, mount and IPC namespaces of one run, or of one launcher, with a trusted process as its init.

    runner ── keeper ── init (pid 1 in there) ── the script, and whatever came out of it

The keeper is outside the PID namespace and does nothing but wait, so that what the run has used adds up in the runner.
Init reaps, and tells the runner how the script ended. It ends when the runner does, and with it the kernel ends all
that is in there. No process in there can see, signal or look into runner, keeper or init.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from asgard.confinement import Confinement, own_uid
from asgard.file_view import arrange_files
from asgard.linux import (
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    become,
    give_up_privileges,
    mount,
    set_dumpable,
    set_namespace,
    unshare,
)
from asgard.process_title import show_as

_MESSAGE_BYTES = 64 * 1024
_MOST_FDS = 16
_KINDS = (("user", CLONE_NEWUSER), ("mnt", CLONE_NEWNS), ("ipc", CLONE_NEWIPC), ("pid", CLONE_NEWPID))


class Namespaces(NamedTuple):
    """Open descriptors of the namespaces that a sandbox consists of, in the order in which one enters them."""

    user: int
    mnt: int
    ipc: int
    pid: int

    def enter(self) -> None:
        """Enters all of them; the PID namespace with the next child. For whoever owns the user namespace."""
        for fd, (_name, kind) in zip(self, _KINDS, strict=True):
            set_namespace(fd, kind)

    def close(self) -> None:
        """Closes the descriptors."""
        for fd in self:
            os.close(fd)


class Program(NamedTuple):
    """What init can execute, with its standard streams, and descriptors that stay open in it."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    stdin: int
    stdout: int
    stderr: int
    kept: tuple[int, ...] = ()
    prepare: Callable[[], None] | None = None
    """What its process does before it executes it."""

    @property
    def fds(self) -> set[int]:
        """All that it is to have open."""
        return {self.stdin, self.stdout, self.stderr, *self.kept}


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
    if len(fds) != len(_KINDS):
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
            _become_init(program, control, stays)
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


def _become_init(program: Program, control: socket.socket, stays: bool) -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # from in there the kernel keeps them from pid 1
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    give_up_privileges()
    set_dumpable(False)
    fds = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name, _ in _KINDS]
    send(control, {"uid": os.getuid()}, tuple(fds))
    for fd in fds:
        os.close(fd)
    _Init(program, control, stays).run()


class _Init:
    """Process 1 of a sandbox."""

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


def execute(program: Program, prepare: Callable[[], None] | None) -> subprocess.Popen[bytes]:
    """Starts the program in a session of its own, once its process has prepared. Raises OSError or ValueError."""
    # In UTF-8 whatever the locale is: words and values reach the script as they were given.
    process = subprocess.Popen(
        [word.encode() for word in program.argv],
        env={name.encode(): value.encode() for name, value in program.env.items()},
        cwd=program.cwd.encode(),
        stdin=program.stdin,
        stdout=program.stdout,
        stderr=program.stderr,
        start_new_session=True,
        pass_fds=program.kept,
        preexec_fn=prepare,  # safe, as this process has one thread
    )
    # Without a return code Popen would warn about, and wait for, a process that is waited for elsewhere.
    process.returncode = 0
    return process


def send(channel: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Sends a small message and descriptors."""
    socket.send_fds(channel, [json.dumps(message).encode()], list(fds))


def receive(channel: socket.socket) -> dict[str, Any]:
    """The next message. Raises EOFError when the other side is gone."""
    return receive_with_fds(channel)[0]


def receive_with_fds(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message and the descriptors that came with it. Raises EOFError when the other side is gone."""
    data, fds, _flags, _ = socket.recv_fds(channel, _MESSAGE_BYTES, _MOST_FDS)
    if not data:
        raise EOFError
    return json.loads(data), fds


def close_all_but(kept: list[int]) -> None:
    """Standard input, output and error go to nothing."""
    with open(os.devnull, "r+b", buffering=0) as devnull:
        for fd in {0, 1, 2} - set(kept):
            os.dup2(devnull.fileno(), fd, inheritable=False)
    low = 3
    for fd in sorted(fd for fd in set(kept) if fd > 2):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def _is_closed_to_others(folder: str) -> bool:
    return not os.stat(folder).st_mode & 0o001
