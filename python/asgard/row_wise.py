"""Tells of which models it is certain that each row's prediction depends on that row alone."""

from __future__ import annotations

from typing import Any

import numpy as np

_KNOWN = {"sklearn", "xgboost", "lightgbm"}


def is_row_wise(model: Any) -> bool:
    """Whether several requests may be merged into one call of it. False when in doubt.

    Classes of known packages predict row by row, and those which contain others do when these do. What was defined
    elsewhere may do anything, and so may a function that it was given.
    """
    if type(model).__module__.partition(".")[0] not in _KNOWN or "predict" in getattr(model, "__dict__", {}):
        return False
    get_params = getattr(model, "get_params", None)
    if get_params is None:
        return True  # a Booster of xgboost or lightgbm
    return all(_is_harmless(value) for value in get_params(deep=False).values())


def _is_harmless(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_harmless(item) for item in value)
    if isinstance(value, dict):
        return all(_is_harmless(item) for item in value.values())
    if hasattr(value, "fit"):
        return is_row_wise(value)
    return not callable(value) or isinstance(value, (type, np.ufunc))
