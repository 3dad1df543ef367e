"""A program that is executed with a known environment and known descriptors."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import NamedTuple


class Program(NamedTuple):
    """What can be executed, with its standard streams, and descriptors that stay open in it."""

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
