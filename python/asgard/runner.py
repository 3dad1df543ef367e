"""The runner: starts a training script, owns it, and writes all that it prints and how it ended to a spool file.

    python -I -S runner.py < spec.json

The spec on standard input is `{"argv": [...], "env": {...}, "cwd": "...", "spool": "...", "timeout_seconds": 300,
"grace_seconds": 5, "output_limit_bytes": 67108864}`; `runner_spec.py` names what else it may hold. The script gets
exactly that environment and an empty standard input. The runner needs no reader and no parent: it is in a session of
its own and lives on when whoever started it is gone. It writes one byte to standard output once it handles signals,
and holds a lock on the spool (flock) for as long as it lives. SIGTERM cancels: SIGTERM to the script's whole process
tree, SIGKILL after the grace time; a second SIGTERM kills at once. The time limit, counted from the script's start,
does the same. When the script's main process ends, what it left running is ended. If the runner is killed, the
script's main process is killed with it. A spec may have no time limit (null), and name a process with which the
script ends: `"ends_with": {"pid": 7, "identity": "..."}`.

Frames, one JSON object a line, numbered from 0 without holes:
    {"n":0,"t":1732.123400,"start":{"pid":7,"identity":"..."}}      always the first: who writes this spool
    {"n":1,"t":1732.123456,"s":"stdout"|"stderr","x":"text"}        "p":true when the line goes on in the next frame
                                                                    of the same stream
    {"n":2,"t":1733.5,"exit":{"code":0|null,"signal":"SIGKILL"|null,"reason":"exited"|"timed_out"|"cancelled"|
        "start_failed"|"output_lost","message":"..."|null,"max_rss_bytes":1,"cpu_seconds":0.1,"lines":1,"bytes":5,"sha256":"..."}}
Of more output than the limit the middle is removed while the script runs, so that the first half and the end stay:
`segments.py` says in which files. `t` is in unix seconds. `lines`, `bytes` and `sha256` are over the texts of all
that was printed in order, each followed by a line feed, in UTF-8. `max_rss_bytes` is that of the largest process,
`cpu_seconds` that of all, as far as they were waited for.

Exit code: 0 when the exit frame was written, whatever the script did; 1 when it could not be; 2 when nothing was
started because the spec is wrong or the spool cannot be used (standard error says why).
"""

from __future__ import annotations

import contextlib
import os
import sys

# Run with -I, Python looks for modules in its own library alone. The package's folder is added for these imports only.
_package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(_package_root)
from asgard.linux import be_first_to_go  # noqa: E402
from asgard.runner_spec import Spec  # noqa: E402
from asgard.script_process import exec_script  # noqa: E402
from asgard.supervisor import catch_signals, complain, supervise  # noqa: E402

sys.path.remove(_package_root)


def main() -> int:
    """Runs the spec on standard input; returns the runner's exit code."""
    with contextlib.suppress(PermissionError):  # it leads a session, or at least a group, already
        os.setsid()
    be_first_to_go()
    wakeup = catch_signals()
    _tell_up()
    try:
        spec = Spec.parse(sys.stdin.buffer.read())
    except ValueError as error:
        complain(str(error))
        return 2
    return supervise(spec, wakeup, exec_script)


def _tell_up() -> None:
    """One byte on standard output: from now on a signal is handled. Then nothing of ours goes there any more."""
    with contextlib.suppress(OSError):  # nobody may be listening
        os.write(1, b"\n")
        with open(os.devnull, "wb") as devnull:
            os.dup2(devnull.fileno(), 1)


if __name__ == "__main__":
    sys.exit(main())
