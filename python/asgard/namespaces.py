"""The namespaces that a sandbox consists of."""

from __future__ import annotations

import os
from typing import NamedTuple

from asgard.linux import CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, set_namespace

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

    @staticmethod
    def own() -> Namespaces:
        """Those of this process, which sees itself in /proc. To be closed."""
        return Namespaces(*(os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name, _ in _KINDS))
