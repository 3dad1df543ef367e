"""What a run may see and be: the part of a runner's spec that sets it apart from the platform."""

from __future__ import annotations

import os
from typing import Any, Literal, NamedTuple

Level = Literal["namespaces", "account"]

_FIRST_UID = 1_000_000
_SMALL_FIRST_UID = 20_000
_PID_LIMIT = 4 * 1024 * 1024
_SMALL_LIMIT = 40_000


class Confinement(NamedTuple):
    """`namespaces`: the script is alone in user, PID, mount and IPC namespaces. `account`: it has a user of its own.

    Where the runner is root, the script has such a user in both.
    """

    level: Level
    hidden: list[str]
    """Folders that it does not see."""
    readable: list[str]
    """What it sees all the same, be it in a hidden folder or in one that its account cannot enter."""
    writable: list[str]
    """Folders that it sees and owns."""
    tmp: str
    """A folder that it sees as /tmp and /var/tmp, and owns."""

    @staticmethod
    def parse(given: Any) -> Confinement:
        """Raises ValueError."""
        if not isinstance(given, dict) or given.get("level") not in ("namespaces", "account"):
            raise ValueError("confinement has no known level")
        for name in ("hidden", "readable", "writable"):
            paths = given.get(name)
            if not (isinstance(paths, list) and all(isinstance(path, str) for path in paths)):
                raise ValueError(f"confinement.{name} is not a list of paths")
        if not isinstance(given.get("tmp"), str):
            raise ValueError("confinement.tmp is not a path")
        return Confinement(**{name: given[name] for name in Confinement._fields})

    def give_to(self, uid: int) -> None:
        """Makes what it owns that user's. Nothing of the user runs yet."""
        for folder in (*self.writable, self.tmp):
            for parent, _folders, files in os.walk(folder):
                for path in (parent, *(os.path.join(parent, file) for file in files)):
                    os.chown(path, uid, uid, follow_symlinks=False)

    def open_ways(self) -> None:
        """Where hidden folders cannot be covered: others pass through them to what is to be seen, and see no more."""
        seen = [os.path.realpath(path) for path in (*self.readable, *self.writable, self.tmp)]
        for hidden in map(os.path.realpath, self.hidden):
            ways = {folder for path in seen for folder in _between(hidden, path)}
            for folder in ways:
                _change_others(folder, 0o001)
            for entry in os.scandir(hidden):
                if not entry.is_symlink() and entry.path not in (*ways, *seen):
                    _change_others(entry.path, 0)


def _between(above: str, path: str) -> list[str]:
    """The folders from `above` on that lead to the path."""
    if not path.startswith(above + "/"):
        return []
    parts = path[len(above) + 1 :].split("/")[:-1]
    return ["/".join([above, *parts[:count]]) for count in range(len(parts) + 1)]


def _change_others(path: str, permissions: int) -> None:
    mode = os.stat(path).st_mode & 0o7777
    if mode & 0o007 != permissions:
        os.chmod(path, mode & ~0o007 | permissions)


def own_uid() -> int:
    """A user number that nothing else runs under while this process lives, and no account of a machine has."""
    first, limit = (_FIRST_UID, _PID_LIMIT) if _is_mapped(_FIRST_UID + _PID_LIMIT) else (_SMALL_FIRST_UID, _SMALL_LIMIT)
    return first + os.getpid() % limit


def _is_mapped(uid: int) -> bool:
    """Whether this process's user namespace has the number: a container's may have few."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        ranges = [line.split() for line in file]
    return any(int(first) <= uid < int(first) + int(count) for first, _outside, count in ranges)
