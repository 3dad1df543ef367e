"""What a confined process sees of the machine's files: all read-only, less what is hidden, and its own folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from asgard.confinement import Confinement
from asgard.linux import MS_BIND, MS_NODEV, MS_NOSUID, MS_REC, MS_SLAVE, mount, set_read_only

_SHARED_MEMORY = "/dev/shm"
# Sockets of services that take commands from whoever has the account: a session bus, a container engine.
_SERVICES = "/run"
_NAME_SERVERS = "/etc/resolv.conf"
_TEMPORARY = ("/tmp", "/var/tmp")
_MOST_OF_TEMPORARY = 64  # each takes some tenths of a millisecond


def arrange_files(confinement: Confinement, interpreter: str, is_closed: Callable[[str], bool]) -> None:
    """Mounts the view in this process's own mount namespace. Raises OSError.

    Paths stay what they are: what is shown of a hidden folder is at its place in an empty one. `is_closed` tells which
    folders the script's account cannot enter: they are hidden too, so that what it needs below them can be shown. Of
    the machine's /tmp it sees what everybody may read, as it is; what it adds there is its own.
    """
    mount("none", "/", None, MS_REC | MS_SLAVE)
    base = os.path.dirname(os.path.dirname(os.path.realpath(interpreter)))
    needed = [os.path.realpath(path) for path in (*confinement.readable, base, _NAME_SERVERS) if os.path.exists(path)]
    writable = {os.path.realpath(path) for path in confinement.writable}
    temporary = {os.path.realpath(path) for path in _TEMPORARY if os.path.isdir(path)}
    closed = [folder for path in (*needed, *writable) if (folder := _first_closed(path, is_closed))]
    hidden = {os.path.realpath(path) for path in confinement.hidden}
    empty = {*hidden, *closed, *(os.path.realpath(path) for path in (_SERVICES, _SHARED_MEMORY))}
    shown = {*needed, *writable, *_public_of(temporary)} - empty
    sources = {path: _open(path) for path in shown} | {path: _open(confinement.tmp) for path in temporary}

    set_read_only("/", True, with_all_below=True)
    set_read_only("/proc", False)  # a kernel shows no freer one than this where it is locked
    # Each goes on top of what it is in.
    covers: list[str] = []
    for path in sorted({*empty, *sources}):
        is_covered = any(_is_below(path, cover) for cover in covers)
        if path in sources:
            if is_covered:
                _make_place(path, sources[path])
            if is_covered or path in writable or path in temporary:
                mount(f"/proc/self/fd/{sources[path]}", path, None, MS_BIND | MS_REC)
            if path in writable or path in temporary:
                set_read_only(path, False)
        elif not os.path.isdir(path) and path not in hidden:
            continue  # there is none, or it is hidden already
        else:
            os.makedirs(path, exist_ok=True)
            mode = "1777" if path == _SHARED_MEMORY else "755"
            mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode}")
        if path in temporary or path in empty:
            covers.append(path)
    for cover in covers:
        if cover not in temporary and cover != _SHARED_MEMORY:
            set_read_only(cover, True)
    for fd in sources.values():
        os.close(fd)


def _public_of(folders: set[str]) -> list[str]:
    """What everybody may read of them. Files that begin with a dot are a service's own by custom."""
    found: list[tuple[float, str]] = []
    for folder in folders:
        for entry in os.scandir(folder):
            status = entry.stat(follow_symlinks=False)
            if entry.name.startswith("."):
                continue
            is_file = stat.S_ISREG(status.st_mode) and status.st_mode & 0o004
            if is_file or (stat.S_ISDIR(status.st_mode) and status.st_mode & 0o005 == 0o005):
                found.append((status.st_mtime, entry.path))
    return [path for _, path in sorted(found)[-_MOST_OF_TEMPORARY:]]


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _make_place(path: str, source: int) -> None:
    if os.path.lexists(path):
        return
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    if os.path.isdir(f"/proc/self/fd/{source}"):
        os.mkdir(path, 0o755)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))


def _first_closed(path: str, is_closed: Callable[[str], bool]) -> str | None:
    """The outermost folder above `path` that is closed."""
    parts = path.split("/")[1:-1]
    folders = ["/" + "/".join(parts[: count + 1]) for count in range(len(parts))]
    return next((folder for folder in folders if is_closed(folder)), None)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")
