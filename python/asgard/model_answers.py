"""Writes a model process's answers as JSON, whatever the model answered."""

from __future__ import annotations

import json
from typing import Any

MOST_BYTES = 60 * 2**20
"""Of a line; the platform ends a process that writes more than 64 MiB."""


def json_line(message: Any) -> bytes:
    """In ASCII: a text may hold half of a surrogate pair, which UTF-8 cannot carry and an escape can."""
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii")


def encoded(answers: list[dict[str, Any]]) -> bytes:
    """The answers to a batch. One that cannot be written, or is too long, is replaced by an error that says so."""
    try:
        line = json_line(answers)
        if len(line) <= MOST_BYTES:
            return line
    except (ValueError, TypeError, RecursionError):
        pass  # one of them, which is found below
    return b"[" + b",".join(_encoded_alone(answer, MOST_BYTES // len(answers)) for answer in answers) + b"]"


def _encoded_alone(answer: dict[str, Any], most: int) -> bytes:
    try:
        line = json_line(answer)
    except (ValueError, TypeError, RecursionError) as error:
        return _failure("failed", f"its answer cannot be written as JSON: {type(error).__name__}: {error}", None)
    if len(line) <= most:
        return line
    message = f"the answer takes {len(line) >> 20} MiB, and at most {most >> 20} are sent: ask for fewer rows at once"
    return _failure("invalid_input", message, ["inputs"])


def _failure(kind: str, message: str, path: list[str] | None) -> bytes:
    return json_line({"error": {"kind": kind, "message": message, "path": path}})
