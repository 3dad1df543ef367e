"""Values that a fitted scikit-learn estimator has seen in its columns, as far as it remembers any."""

from __future__ import annotations

from typing import Any

from asgard.model_categories import categories_of


def known_values(estimator: Any) -> dict[str, Any]:
    """`{column: value}`: a category, a word or a mean of what the column held when the estimator was fitted.

    Columns of which nothing is remembered are left out. A made row of such values is one that the estimator takes.
    """
    found: dict[str, Any] = {}
    names = getattr(estimator, "feature_names_in_", None)
    _look(estimator, None if names is None else [str(name) for name in names], found)
    return found


def _look(estimator: Any, columns: list[str] | None, found: dict[str, Any]) -> None:
    """`columns` are the names of what the estimator is given; None where they are not known."""
    if hasattr(estimator, "best_estimator_"):
        _look(estimator.best_estimator_, columns, found)
    elif isinstance(getattr(estimator, "steps", None), list):
        # What follows the first step that acts is given other columns.
        first = next((step for _, step in estimator.steps if hasattr(step, "fit")), None)
        _look(first, columns, found)
    elif hasattr(estimator, "transformers_"):
        for _, transformer, selected in estimator.transformers_:
            _look(transformer, _names_of(selected, columns), found)
    elif columns:
        _take(estimator, columns, found)


def _names_of(selected: Any, columns: list[str] | None) -> list[str] | None:
    if isinstance(selected, str):
        return [selected]
    if not isinstance(selected, list):
        return None
    if all(isinstance(name, str) for name in selected):
        return selected
    numbers = [number for number in selected if isinstance(number, int)]
    if columns is None or len(numbers) != len(selected) or any(number >= len(columns) for number in numbers):
        return None
    return [columns[number] for number in numbers]


def _take(estimator: Any, columns: list[str], found: dict[str, Any]) -> None:
    for number, values in categories_of(estimator).items():
        if values:
            found.setdefault(columns[number], values[0])
    vocabulary = getattr(estimator, "vocabulary_", None)
    if isinstance(vocabulary, dict) and vocabulary:
        found.setdefault(columns[0], str(next(iter(vocabulary))))
        return
    for remembered, first in (
        ("categories_", True),
        ("statistics_", False),
        ("data_min_", False),
        ("mean_", False),
        ("center_", False),
    ):
        values = getattr(estimator, remembered, None)
        if values is None or len(values) != len(columns):
            continue
        for name, value in zip(columns, values, strict=True):
            one = next(iter(value), None) if first else value
            one = one.item() if hasattr(one, "item") else one
            if isinstance(one, (bool, int, float, str)) and one == one:  # NaN is unequal to itself
                found.setdefault(name, one)
        return
