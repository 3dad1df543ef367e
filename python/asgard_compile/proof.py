"""Compares what a compiled model says with what the original says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from asgard_compile.ensemble import RefusedError
from asgard_compile.layout import Rows

RELATIVE = 1e-5
# A probability far smaller than the largest of its row counts as this part of that: what libraries do in single
# precision resolves no more of what is left to 1.
_SMALLEST_PROBABILITY = 0.025
# Another number counts as at least this part of the largest beside it. So 1e-12 of that are let pass next to zero,
# where the rounding of terms in double precision, added in another order, is all that is left of their sum.
_SMALLEST_NUMBER = 1e-7
_BATCH = 2_000

Answer = tuple[list[Any], np.ndarray | None]
"""Predictions, one a row, and probabilities if there are any."""
Ask = Callable[[Rows], Answer]


class Proof:
    """Rows that were compared, by where they are from, and the largest difference that was found."""

    def __init__(self, original: Ask, compiled: Ask) -> None:
        self._original = original
        self._compiled = compiled
        self.counts: dict[str, int] = {}
        self.largest_difference = 0.0

    def compare(self, source: str, rows: Rows) -> None:
        """Raises RefusedError at the first row of which the two do not say the same."""
        count = len(next(iter(rows.values())))
        for start in range(0, count, _BATCH):
            part = {name: values[start : start + _BATCH] for name, values in rows.items()}
            self._same(source, part, self._original(part), self._compiled(part))
        self.counts[source] = self.counts.get(source, 0) + count

    def _same(self, source: str, rows: Rows, original: Answer, compiled: Answer) -> None:
        predictions, probabilities = original
        others, other_probabilities = compiled
        if len(predictions) != len(others) or (probabilities is None) != (other_probabilities is None):
            raise RefusedError("the compiled model gives another number of answers")
        if _are_fractions(predictions):
            self._close(source, rows, _column(predictions), _column(others), "prediction")
        else:
            for row, (one, other) in enumerate(zip(predictions, others, strict=True)):
                if type(one) is not type(other) or one != other:
                    raise RefusedError(f"it says {one!r}, compiled {other!r}, for {_shown(rows, row)} ({source})")
        if probabilities is not None and other_probabilities is not None:
            self._close(source, rows, probabilities, other_probabilities, "probability")

    def _close(self, source: str, rows: Rows, one: np.ndarray, other: np.ndarray, what: str) -> None:
        if one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
            raise RefusedError(f"a {what} is no finite number, or missing ({source})")
        difference = np.abs(one - other)
        size = np.maximum(np.abs(one), np.abs(other))
        if what == "probability":
            least = _SMALLEST_PROBABILITY * size.max(axis=1, keepdims=True)
        else:
            least = _SMALLEST_NUMBER * size.max()
        relative = difference / np.maximum(np.maximum(size, least), 1e-300)
        is_same = relative <= RELATIVE
        if not is_same.all():
            row, column = (int(at) for at in np.argwhere(~is_same)[0])
            numbers = f"{float(one[row, column])!r}, compiled {float(other[row, column])!r}"
            raise RefusedError(f"a {what} is {numbers}, for {_shown(rows, row)} ({source})")
        self.largest_difference = max(self.largest_difference, float(relative.max(initial=0.0)))


def _are_fractions(predictions: list[Any]) -> bool:
    return all(type(value) is float for value in predictions)


def _column(values: list[Any]) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float64).reshape(-1, 1)
    except (TypeError, ValueError) as error:
        raise RefusedError("its predictions are not of one type") from error


def _shown(rows: Rows, row: int) -> str:
    return ", ".join(f"{name} = {values[row]!r}" for name, values in list(rows.items())[:8])[:300]
