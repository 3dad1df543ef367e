"""What is known of the values that a model's columns held when it was trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from asgard_compile.convert import nested

_MOST_CATEGORIES = 10_000


class Knowledge:
    """Of columns: `categories` that an encoder takes, `words` of a vocabulary, `numbers` between which it was."""

    def __init__(self) -> None:
        self.categories: dict[str, list[Any]] = {}
        self.words: dict[str, list[str]] = {}
        self.numbers: dict[str, list[float]] = {}

    @property
    def texts(self) -> set[str]:
        """Columns that words are looked for in."""
        return set(self.words)

    def see(self, table: pd.DataFrame) -> None:
        """Takes numbers from rows of training data."""
        for name in table.columns:
            values = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float)
            self.add_numbers(str(name), values)

    def add_numbers(self, name: str, values: Any) -> None:
        """Takes those that are finite."""
        found = np.asarray(values, dtype=float).ravel()
        found = found[np.isfinite(found) & (np.abs(found) < 1e30)]
        if len(found):
            kept = self.numbers.setdefault(name, [])
            kept += [float(found.min()), float(found.max())]

    def range_of(self, name: str) -> tuple[float, float]:
        """Between the least and the most that was seen; from -3 to 3 where nothing was."""
        seen = self.numbers.get(name)
        if not seen:
            return -3.0, 3.0
        low, high = min(seen), max(seen)
        return (low, high) if low < high else (low - 1.0, high + 1.0)


def knowledge_of(estimator: Any, columns: list[str]) -> Knowledge:
    """From what a fitted estimator remembers. `columns` are all that it takes, in its order."""
    known = Knowledge()
    _look(estimator, columns, known)
    return known


def _look(estimator: Any, columns: list[str], known: Knowledge) -> None:
    if hasattr(estimator, "best_estimator_"):
        _look(estimator.best_estimator_, columns, known)
    elif isinstance(getattr(estimator, "steps", None), list):
        # Columns stay what they are through steps that change each for itself.
        for _, step in estimator.steps:
            if not hasattr(step, "fit"):
                continue
            _look(step, columns, known)
            if not type(step).__name__.endswith("Imputer"):
                return
    elif hasattr(estimator, "transformers_"):
        for _, transformer, selected in estimator.transformers_:
            if not isinstance(transformer, str):
                _look(transformer, _selected(selected, columns), known)
    else:
        for each in nested(estimator):
            _take(each, columns, known)


def _selected(selected: Any, columns: list[str]) -> list[str]:
    if isinstance(selected, (str, int)):
        selected = [selected]
    if isinstance(selected, slice):
        return columns[selected]
    chosen = np.asarray(selected)
    if chosen.dtype == bool:
        return [name for name, is_chosen in zip(columns, chosen, strict=True) if is_chosen]
    return [columns[each] if isinstance(each, (int, np.integer)) else str(each) for each in chosen.tolist()]


def _take(estimator: Any, columns: list[str], known: Knowledge) -> None:
    vocabulary = getattr(estimator, "vocabulary_", None)
    if isinstance(vocabulary, dict) and vocabulary and len(columns) == 1:
        known.words[columns[0]] = sorted({word for term in vocabulary for word in str(term).split(" ")})
        return
    categories = getattr(estimator, "categories_", None)
    if categories is not None and len(categories) == len(columns):
        for name, values in zip(columns, categories, strict=True):
            listed = [value.item() if hasattr(value, "item") else value for value in values][:_MOST_CATEGORIES]
            known.categories[name] = [value for value in listed if isinstance(value, str) or value == value]
    lows, highs = _spread(estimator)
    for values in (lows, highs, getattr(estimator, "statistics_", None)):
        if values is None or np.asarray(values).dtype.kind not in "fiu" or len(values) != len(columns):
            continue
        for name, value in zip(columns, values, strict=True):
            known.add_numbers(name, [value])


def _spread(estimator: Any) -> tuple[Any, Any]:
    if hasattr(estimator, "data_min_"):
        return estimator.data_min_, estimator.data_max_
    mean, variance = getattr(estimator, "mean_", None), getattr(estimator, "var_", None)
    if mean is not None and variance is not None and np.shape(mean) == np.shape(variance):
        return mean - 2 * np.sqrt(variance), mean + 2 * np.sqrt(variance)
    return None, None
