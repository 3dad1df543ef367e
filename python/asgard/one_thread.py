"""Has a model in memory predict with one thread: of many models, and busy ones, there are processes enough."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

_KNOWN = ("sklearn", "xgboost", "lightgbm")
_COUNTS = ("n_jobs", "nthread", "num_threads", "thread_count")
# More than any model has parts. What lies deeper keeps its threads.
_MOST_PARTS = 200_000


def use_one_thread(model: Any) -> None:
    """Changes scikit-learn's, xgboost's and lightgbm's estimators anywhere inside it; what they say stays the same.

    The environment's variables do so for those that leave the number to the library.
    """
    seen: dict[int, Any] = {}  # they have to live on, so that no other gets the same id
    waiting = [model]
    while waiting and len(seen) < _MOST_PARTS:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, (str, bytes, int, float, type)) or part is None:
            continue
        seen[id(part)] = part
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, (list, tuple)):
            waiting += part
        elif isinstance(part, np.ndarray):
            waiting += part.ravel().tolist() if part.dtype == object else []
        else:
            held = getattr(part, "__dict__", None)
            if isinstance(held, dict):
                if type(part).__module__.partition(".")[0] in _KNOWN:
                    _change(part, held)
                waiting += held.values()


def _change(part: Any, held: dict[str, Any]) -> None:
    for name in _COUNTS:
        if held.get(name) is not None:
            held[name] = 1
        for others in ("_other_params", "kwargs"):  # what lightgbm and xgboost were given by another name
            if isinstance(held.get(others), dict) and name in held[others]:
                held[others][name] = 1
    if type(part).__name__ == "Booster" and hasattr(part, "set_param"):
        with contextlib.suppress(Exception):  # it predicts all the same
            part.set_param({"nthread": 1})
