"""Calls of the Linux kernel that Python 3.11 has no names for. Each raises OSError with what it was about."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_LAST_CAPABILITY = 63
_CAPABILITY_VERSION_3 = 0x20080522

_SYS_MOUNT_SETATTR = 442  # the same number on every architecture
_MOUNT_ATTR_RDONLY = 0x1
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000

# Of 1000 at most: as if half of the memory were in use by it, besides what is.
_FIRST_TO_GO = 500

IS_LINUX = sys.platform.startswith("linux")

_libc = ctypes.CDLL(None, use_errno=True)


def be_first_to_go() -> None:
    """When the machine has no memory left, the kernel ends this process, or what comes out of it, before others."""
    # A system may not let it be changed, or have nothing of the kind.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
        file.write(b"%d" % max(int(file.read()), _FIRST_TO_GO))


def unshare(flags: int) -> None:
    """This process, or for a PID namespace its next child, leaves the namespaces of those kinds for new ones."""
    _check(_libc.unshare(flags), "unshare")


def set_namespace(fd: int, kind: int) -> None:
    """Enters the namespace that `fd` stands for; of a PID namespace only later children are members."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """As mount(2)."""
    arguments = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    _check(_libc.mount(*arguments[:3], ctypes.c_ulong(flags), arguments[3]), f"mount {target}")


def set_read_only(path: str, read_only: bool, *, with_all_below: bool = False) -> None:
    """Whether what is mounted at `path` can be written through that mount."""
    attributes = (_MOUNT_ATTR_RDONLY, 0) if read_only else (0, _MOUNT_ATTR_RDONLY)
    packed = struct.pack("QQQQ", *attributes, 0, 0)
    flags = _AT_RECURSIVE if with_all_below else 0
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.c_uint(flags),
        ctypes.c_char_p(packed),
        ctypes.c_size_t(len(packed)),
    )
    _check(result, f"mount_setattr {path}")


def become_subreaper() -> None:
    """Orphans among this process's descendants become its children, as far as they are in its PID namespace."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_parent_death_signal(number: int) -> None:
    """What this process gets when the thread that started it ends. A change of credentials takes it back."""
    _prctl(_PR_SET_PDEATHSIG, number)


def set_dumpable(dumpable: bool) -> None:
    """Whether processes of the same user may look into this one: its memory, its descriptors, its variables."""
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


def give_up_privileges() -> None:
    """No capability is left, and no program that this process executes gives it one."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    for capability in range(_LAST_CAPABILITY + 1):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # the kernel has no more of them, or this process may not
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(bytes(24))), "capset")


def become(uid: int) -> None:
    """Root becomes the user and group of that number, without other groups."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, value, 0, 0, 0), "prctl")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
