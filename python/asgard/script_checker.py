"""The script checker: says whether Python can compile a text, without ever running it.

    python -I -S script_checker.py

A request on standard input is its number of bytes, as 4 bytes with the highest first, and then the bytes of a script
file. The answer on standard output is one JSON object a line:

    {"error":null}                                               it compiles, or that cannot be told here
    {"error":{"kind":"SyntaxError"|"IndentationError"|"TabError","message":"...","line":3|null,"text":"x y"|null}}

`line` counts from 1, `text` is what stands there, of a long line the part around the error. A script that is too deep
or too large for this process is not called wrong: its run will tell. The process ends at the end of its input, and
after a script that made it grow: Python keeps that memory. Whoever asks bounds the time, as a text of 1 MiB can keep
the compiler busy for minutes.
"""

from __future__ import annotations

import json
import resource
import sys
import warnings
from typing import Any, BinaryIO

_MAX_MESSAGE = 500
_MAX_TEXT = 120
_MEMORY_BYTES = 512 * 1024 * 1024
# What is left at the end of the input must not compile on for minutes when whoever asked was killed.
_CPU_SECONDS = 3
_GROWN_BYTES = 128 * 1024 * 1024


def main() -> int:
    """Answers until the input ends; returns the exit code."""
    _limit(resource.RLIMIT_AS, _MEMORY_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    warnings.simplefilter("ignore")
    # The limit on the digits of a number is a variable's to lift, which the script's own run may have.
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while (script := _read(requests)) is not None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + _CPU_SECONDS)
        answers.write(json.dumps({"error": error_in(script)}).encode("ascii") + b"\n")
        answers.flush()
        if _peak_bytes() > _GROWN_BYTES:
            break
    return 0


def error_in(script: bytes) -> dict[str, Any] | None:
    """What is wrong with the file that these bytes are, or None."""
    try:
        # Of bytes, as of a file: the mark at their beginning and the declared encoding count. The name is none of a
        # file, since Python reads the line of some errors from the file of that name.
        compile(script, "<script>", "exec", dont_inherit=True)
    except SyntaxError as error:
        message = str(error.msg)
        # A package can bring an encoding along, which is not there yet. It helps no text with the mark of another one.
        if message.startswith(("encoding problem", "unknown encoding")) and not message.endswith("with BOM"):
            return None
        return {
            "kind": type(error).__name__,
            "message": message[:_MAX_MESSAGE],
            **_place(script, error.lineno, error.offset),
        }
    except Exception:
        # RecursionError, MemoryError, and whatever else says more of this process than of the script.
        return None
    return None


def _place(script: bytes, line: int | None, column: int | None) -> dict[str, Any]:
    # What ends a line for Python ends one of bytes too; a form feed or U+2028 does neither.
    lines = script.splitlines()
    if not line or line > len(lines):
        return {"line": line or None, "text": None}
    whole = lines[line - 1].decode(errors="replace").rstrip()
    start = len(whole) - len(whole.lstrip())
    if len(whole) - start > _MAX_TEXT:
        start = max(start, min((column or 1) - _MAX_TEXT // 2, len(whole) - _MAX_TEXT))
    end = start + _MAX_TEXT
    cut = ("…" if whole[:start].strip() else "") + whole[start:end] + ("…" if end < len(whole) else "")
    return {"line": line, "text": "".join(char if char.isprintable() else " " for char in cut) or None}


def _read(requests: BinaryIO) -> bytes | None:
    """The next script; None at the end of the input."""
    size = requests.read(4)
    if len(size) < 4:
        return None
    script = requests.read(int.from_bytes(size, "big"))
    return script if len(script) == int.from_bytes(size, "big") else None


def _limit(which: int, wanted: int) -> None:
    """Lowers a limit, as far as the system lets it: not every system has each one."""
    _, hard = resource.getrlimit(which)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(which, (soft, hard))
    except (ValueError, OSError):
        return


def _peak_bytes() -> int:
    """The most memory that this program has used. What `getrusage` says counts the program that started it too."""
    try:
        with open("/proc/self/status", "rb") as file:
            peaks = [line.split()[1] for line in file if line.startswith(b"VmHWM:")]
        return int(peaks[0]) * 1024
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    sys.exit(main())
