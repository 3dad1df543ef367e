"""How a method of the bridge says that it could not do what was asked."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Sequence
from typing import Any, Literal, TypedDict

ErrorCode = Literal["INVALID_INPUT", "NOT_FOUND", "CONFLICT", "UNAVAILABLE", "INTERNAL"]


class Issue(TypedDict):
    """One thing that is wrong with an input. `path` leads to it from the input's root: `["source", "table_name"]`."""

    path: list[str | int]
    message: str
    type: str


class BridgeError(Exception):
    """A failure that a caller can expect and act on; its message is safe to show.

    `UNAVAILABLE` says that the same request may succeed later. Whatever else is raised is a fault of ours.
    """

    def __init__(self, code: ErrorCode, message: str, issues: Sequence[Issue] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.issues = list(issues)


def invalid_input(path: list[str | int], message: str, kind: str = "value_error") -> BridgeError:
    """An `INVALID_INPUT` about one field."""
    return BridgeError("INVALID_INPUT", message, [{"path": path, "message": message, "type": kind}])


def answer_of(error: BaseException) -> dict[str, Any]:
    """What the other side is told of an exception: `{"code", "message", "issues"}`. Our fault says where."""
    if isinstance(error, BridgeError):
        return {"code": error.code, "message": str(error), "issues": error.issues}
    away = _away(error)
    if away is not None:
        return {"code": "UNAVAILABLE", "message": away, "issues": []}
    frames = "".join(traceback.format_tb(error.__traceback__, limit=-5))
    return {"code": "INTERNAL", "message": f"{type(error).__name__}: {error}\n{frames}".strip(), "issues": []}


def _away(error: BaseException) -> str | None:
    """Why a server that the store stands on could not be reached; None when that is not what happened."""
    from sqlalchemy.exc import DBAPIError, OperationalError
    from sqlalchemy.exc import TimeoutError as PoolTimeoutError

    seen: BaseException | None = error
    for _ in range(10):  # causes, which Feast wraps
        if seen is None:
            return None
        if isinstance(seen, OperationalError) or (isinstance(seen, DBAPIError) and seen.connection_invalidated):
            return f"the feature store's database does not answer: {_first_line(seen.orig)}"
        if isinstance(seen, PoolTimeoutError):
            return "the feature store's database is busy: no connection came free in time"
        if isinstance(seen, OSError) and "AWS Error" in str(seen):  # Arrow has no kinds of them
            return f"the feature store's warehouse does not answer: {seen}"
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return "the disk that the feature store's warehouse is on is full"
        if _is_lost_file(seen):
            return f"the feature store's warehouse cannot be used: {_first_line(seen)}"
        if isinstance(seen, ConnectionError):
            return f"the feature store's catalog or warehouse does not answer: {seen}"
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return None


_LOST = (FileNotFoundError, NotADirectoryError, PermissionError)
_LOST_CODES = (errno.EIO, errno.ENOTCONN, errno.EROFS, errno.ESTALE)
"""Of a disk that fails or went read-only, and of a network's that is away."""


def _is_lost_file(error: BaseException) -> bool:
    """Whether a file of a table cannot be read or written: one that pyiceberg opened. Of our own it is our fault."""
    if not isinstance(error, _LOST) and not (isinstance(error, OSError) and error.errno in _LOST_CODES):
        return False
    modules = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(module.split(".")[0] == "pyiceberg" for module in modules)


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().split("\n")[0]
