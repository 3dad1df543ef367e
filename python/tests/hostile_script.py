"""A script that tries all that a script must not be able to do. Prints which of its tries succeeded, as JSON."""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable

GIVEN = json.loads(os.environ["GIVEN"])
libc = ctypes.CDLL(None, use_errno=True)


def must(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def write(path: str) -> None:
    with open(path, "r+b") as file:
        file.write(b"")


def look_at(pid: int, mark: str) -> None:
    # Its number may be somebody else's in here: this script's own, or init's.
    if mark.encode() not in read(f"/proc/{pid}/environ") + read(f"/proc/{pid}/cmdline"):
        raise LookupError


def own_runner() -> int:
    """Whoever started this leaves the number here."""
    while not os.path.exists("runner"):
        time.sleep(0.01)
    return int(read("runner"))


def find_in_proc(marker: str) -> None:
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                text = read(f"/proc/{name}/environ") + read(f"/proc/{name}/cmdline")
            except OSError:
                continue
            if marker.encode() in text:
                return
    raise LookupError


def signal_from_outside(pid: int) -> None:
    if pid <= 10:
        raise LookupError  # one of our own has the number
    os.kill(pid, 0)


def in_new_namespaces(act: Callable[[], None]) -> None:
    child = os.fork()
    if child == 0:
        try:
            uid = os.getuid()
            must(libc.unshare(0x10000000 | 0x00020000))  # user and mount
            with open("/proc/self/uid_map", "w") as file:
                file.write(f"0 {uid} 1")
            act()
            os._exit(0)
        except BaseException:
            os._exit(1)
    if os.waitpid(child, 0)[1] != 0:
        raise OSError


def uncover() -> None:
    libc.umount2(GIVEN["data"].encode(), 2)
    read(GIVEN["secret"])


def make_writable() -> None:
    must(libc.mount(None, GIVEN["environment"].encode(), None, ctypes.c_ulong(0x1000 | 0x20), None))  # remount, bind
    new_file(GIVEN["environment"])


def new_file(folder: str) -> None:
    path = os.path.join(folder, "hostile")
    with open(path, "x"):
        pass
    os.remove(path)


def forge() -> None:
    done = 0
    for fd in range(3, 200):
        with contextlib.suppress(OSError):
            done += os.write(fd, b'{"ended": 0}')
    if not done:
        raise OSError


TRIES = {
    "list the data folder": lambda: GIVEN["secret"].rsplit("/", 1)[1] in os.listdir(GIVEN["data"]) or must(-1),
    "read the data folder": lambda: read(GIVEN["secret"]),
    "write the data folder": lambda: write(GIVEN["secret"]),
    "make a file in the data folder": lambda: new_file(GIVEN["data"]),
    "read the data folder by its own root": lambda: read("/proc/self/root" + GIVEN["secret"]),
    "read the data folder by the root of init": lambda: read("/proc/1/root" + GIVEN["secret"]),
    "read the data folder by the folder of what is outside": lambda: read(
        f"/proc/{GIVEN['pid']}/root{GIVEN['secret']}"
    ),
    "uncover the data folder": uncover,
    "uncover the data folder in namespaces of its own": lambda: in_new_namespaces(uncover),
    "read its spool": lambda: read(GIVEN["spool"]),
    "write its spool": lambda: write(GIVEN["spool"]),
    "remove its spool": lambda: os.remove(GIVEN["spool"]),
    "forge its exit": forge,
    "read another job's file": lambda: read(GIVEN["other"]),
    "write another job's file": lambda: write(GIVEN["other"]),
    "read another job's file in /tmp": lambda: read(GIVEN["temporary"]),
    "see a process of the platform": lambda: look_at(GIVEN["pid"], GIVEN["mark"]),
    "see its starter": lambda: look_at(GIVEN["starter"], GIVEN["mark"]),
    "see its runner": lambda: look_at(own_runner(), GIVEN["spool"]),
    "find the platform's secret in /proc": lambda: find_in_proc("SECRET_OF_THE_PLATFORM"),
    "find another job's token in /proc": lambda: find_in_proc("TOKEN_OF_ANOTHER"),
    "signal a process of the platform": lambda: signal_from_outside(GIVEN["pid"]),
    "signal its starter": lambda: signal_from_outside(GIVEN["starter"]),
    "signal its runner": lambda: signal_from_outside(own_runner()),
    "signal another job's script": lambda: signal_from_outside(GIVEN["other_pid"]),
    "stop its starter's group": lambda: os.killpg(GIVEN["starter"], 0),
    "stop its runner's group": lambda: os.killpg(own_runner(), 0),
    "trace its runner": lambda: must(libc.ptrace(16, own_runner(), None, None)),
    "look into init": lambda: read("/proc/1/environ"),
    "see init's descriptors": lambda: os.listdir("/proc/1/fd"),
    "trace init": lambda: must(libc.ptrace(16, 1, None, None)),
    "become root": lambda: os.setresuid(0, 0, 0),
    "write the environment": lambda: new_file(GIVEN["environment"]),
    "write the environment after mounting it again": make_writable,
    "write the environment in namespaces of its own": lambda: in_new_namespaces(make_writable),
    "write the platform's program": lambda: write(GIVEN["program"]),
    "mount": lambda: must(libc.mount(b"x", b"/mnt", b"tmpfs", ctypes.c_ulong(0), None)),
    "enter the platform's namespaces": lambda: must(libc.setns(os.open(f"/proc/{GIVEN['pid']}/ns/mnt", 0), 0)),
}

names = GIVEN.get("only", list(TRIES))
done = []
for name in names:
    with contextlib.suppress(OSError, LookupError):
        TRIES[name]()
        done.append(name)
if "only" not in GIVEN:
    # The kernel keeps them from pid 1; were it not so, this script would go with it.
    os.kill(1, signal.SIGKILL)
    os.kill(1, signal.SIGSTOP)
print(json.dumps({"tried": len(names), "done": done, "uid": os.getuid(), "pids": [os.getpid(), os.getppid()]}))
sys.exit(7)
