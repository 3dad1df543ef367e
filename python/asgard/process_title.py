"""What `ps` shows of a process that was forked and is something else now."""

from __future__ import annotations

import ctypes


def set_command_line(words: list[str]) -> None:
    """Shows `words` as this process's command line, cut to the room that its own arguments took. Linux only.

    The kernel reads a command line from the process's own memory, between the addresses in proc(5)'s fields 48 and 49.
    """
    with open("/proc/self/stat", "rb") as file:
        stat = file.read()
    fields = stat[stat.rindex(b")") + 2 :].split()
    start, end = int(fields[45]), int(fields[46])
    if start == 0 or end <= start:
        return
    text = b"\0".join(word.encode() for word in words)[: end - start - 1]
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
