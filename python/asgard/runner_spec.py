"""What the runner is told on its standard input."""

from __future__ import annotations

import json
import math
from typing import NamedTuple

from asgard.confinement import Confinement


class StartedBy(NamedTuple):
    """A process, as `own_identity` of `process_tree.py` tells it from a later one with the same number."""

    pid: int
    identity: str


class Spec(NamedTuple):
    """What to run, and how long."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    spool: str
    timeout_seconds: float | None
    """None: it may run for ever."""
    grace_seconds: float
    output_limit_bytes: int
    environment_lock: str | None = None
    """A file whose lock this run shares until it ends, so that nobody removes its environment."""
    yields: bool = True
    """Whether the script gets less of a busy CPU than what watches it."""
    process_limit: int | None = None
    """Processes and threads that the script's user, whom nothing else has, may have at once. None: no limit."""
    ends_with: StartedBy | None = None
    """A process whose end is the script's too. Absent: the script needs nobody."""
    confinement: Confinement | None = None
    """Absent: the script is what the runner is, and sees what it sees."""

    @staticmethod
    def parse(text: bytes) -> Spec:
        """Reads a spec. Raises ValueError that says what is wrong with it."""
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError("the spec is not a JSON object")
        missing = [name for name in Spec._fields if name not in given and name not in Spec._field_defaults]
        if missing:
            raise ValueError(f"the spec lacks {', '.join(missing)}")
        confinement = None if given.get("confinement") is None else Confinement.parse(given["confinement"])
        ends_with = None if given.get("ends_with") is None else StartedBy(**given["ends_with"])
        parsed = {"confinement": confinement, "ends_with": ends_with}
        spec = Spec(**{name: given[name] for name in Spec._fields if name in given} | parsed)
        if not (isinstance(spec.argv, list) and spec.argv and all(isinstance(word, str) for word in spec.argv)):
            raise ValueError("argv is not a list of one or more strings")
        if not (isinstance(spec.env, dict) and all(isinstance(value, str) for value in spec.env.values())):
            raise ValueError("env is not an object of strings")
        for name in ("cwd", "spool"):
            if not isinstance(given[name], str):
                raise ValueError(f"{name} is not a string")
        if not isinstance(spec.environment_lock, str | None):
            raise ValueError("environment_lock is not a string")
        for name in ("timeout_seconds", "grace_seconds"):
            value = given[name]
            if name == "timeout_seconds" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise ValueError(f"{name} is not a number of seconds")
        if not isinstance(spec.yields, bool):
            raise ValueError("yields is not true or false")
        if not _is_count(spec.output_limit_bytes):
            raise ValueError("output_limit_bytes is not a number of bytes")
        if spec.process_limit is not None and not _is_count(spec.process_limit):
            raise ValueError("process_limit is not a number of processes")
        return spec


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
