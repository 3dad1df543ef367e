"""Loads for MLflow a model that joblib wrote. A copy of it goes beside such a model, to whom has no Asgard."""

from __future__ import annotations

from typing import Any

import joblib


def _load_pyfunc(path: str) -> Any:
    """What MLflow calls with the path of the pickle, and whose `predict` it then asks."""
    return joblib.load(path)
