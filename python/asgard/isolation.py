"""Finds out how far a script can be set apart on this machine, by running one that does nothing.

    python -I -S isolation.py FOLDER

FOLDER is the platform's data folder, closed to a script. Writes `{"level": "namespaces"|"account"|"none",
"reason": "why not more"|null}` to standard output.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile

_package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(_package_root)
from asgard.confinement import Confinement, Level  # noqa: E402
from asgard.linux import IS_LINUX  # noqa: E402
from asgard.messages import receive  # noqa: E402
from asgard.runner_spec import Spec  # noqa: E402
from asgard.script_process import exec_script  # noqa: E402

sys.path.remove(_package_root)


def main(folder: str) -> None:
    """Tries what is best first."""
    if not IS_LINUX:
        return _say("none", "this system has no namespaces")
    reason = _problem_with("namespaces", folder)
    if reason is None:
        return _say("namespaces", None)
    if os.geteuid() != 0:
        return _say("none", reason)
    problem = _problem_with("account", folder)
    return _say("account" if problem is None else "none", reason if problem is None else f"{reason}; {problem}")


def _say(level: str, reason: str | None) -> None:
    print(json.dumps({"level": level, "reason": reason}))


def _problem_with(level: Level, data_folder: str) -> str | None:
    folder = tempfile.mkdtemp(prefix=".isolation-", dir=data_folder)
    try:
        confinement = Confinement(level, [data_folder], [sys.prefix], [folder], os.path.join(folder, "tmp"))
        os.mkdir(confinement.tmp)
        argv = [sys.executable, "-I", "-S", "-c", "open('here', 'x')"]
        script = exec_script(Spec(argv, {}, folder, "", 60, 0, 0, confinement=confinement))
        with os.fdopen(script.stderr, "rb") as errors:
            said = errors.read().decode(errors="replace").strip().splitlines()
        if script.control is not None:
            status = receive(script.control)["ended"]
        else:
            _, status = os.waitpid(script.pid or 0, 0)
        return None if status == 0 else (said[-1] if said else f"a process that was set apart ended with {status}")
    except (OSError, ValueError, EOFError) as error:
        return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
