"""What `ps` shows of a process that was forked and is something else now."""

from __future__ import annotations

import ctypes


def show_as(words: list[str], environment: dict[str, str]) -> None:
    """Shows `words` as this process's command line and `environment` as its variables, as far as there is room.

    The kernel reads both from the process's own memory, between the addresses in proc(5)'s fields 48 to 51: the room
    that its own took when it was started. To be called when nothing points there any more: with `os.environ` set anew.
    Linux only.
    """
    with open("/proc/self/stat", "rb") as file:
        stat = file.read()
    fields = stat[stat.rindex(b")") + 2 :].split()
    arguments, arguments_end, variables, variables_end = (int(field) for field in fields[45:49])
    _write(arguments, arguments_end, words)
    _write(variables, variables_end, [f"{name}={value}" for name, value in environment.items()])


def _write(start: int, end: int, texts: list[str]) -> None:
    if start == 0 or end <= start:
        return
    data = b"".join(text.encode() + b"\0" for text in texts)[: end - start - 1]
    ctypes.memmove(start, data.ljust(end - start, b"\0"), end - start)
