"""The values that a column may hold one step to either side of a number."""

from __future__ import annotations

import numpy as np

from asgard_compile.layout import GivenColumn
from asgard_compile.made_rows import is_integer

LARGEST, SMALLEST = 1e37, 1e-30
"""Numbers beyond them, or closer to zero than them, the platform leaves to Python."""
_LARGEST_WHOLE = 2**53 - 1
_MLFLOW_WHOLE = {"integer": "int32", "long": "int64"}


def is_flag(column: GivenColumn) -> bool:
    """Whether it holds truth values."""
    return column.type in ("boolean", "bool")


def is_single(column: GivenColumn) -> bool:
    """Whether its numbers are rounded to single precision."""
    return column.type in ("float", "float32")


def fit_in(numbers: np.ndarray, column: GivenColumn) -> np.ndarray:
    """The numbers, or those next to them that a request may hold in the column."""
    if is_flag(column):
        return (numbers > 0.5).astype(np.float64)
    if is_integer(column):
        bounds = np.iinfo(_MLFLOW_WHOLE.get(column.type or "", column.type or ""))
        least, most = max(bounds.min, -_LARGEST_WHOLE), min(bounds.max, _LARGEST_WHOLE)
        return np.clip(np.floor(numbers), least, most)
    kept = np.clip(numbers, -LARGEST, LARGEST)
    if is_single(column):
        kept = kept.astype(np.float32).astype(np.float64)
    return np.where(np.abs(kept) < SMALLEST, 0.0, kept)


def beside(numbers: np.ndarray, column: GivenColumn, is_compared_single: bool) -> list[np.ndarray]:
    """The nearest values on both sides of each number, and itself, as far as the column can hold them.

    A step is a whole number, or the next number in double precision, and in single precision if that is what the column
    holds or the trees compare.
    """
    if is_flag(column):
        return [np.zeros(len(numbers)), np.ones(len(numbers))]
    if is_integer(column):
        return [fit_in(numbers + step, column) for step in (-1.0, 0.0, 1.0)]
    made = [np.nextafter(numbers, -np.inf), numbers, np.nextafter(numbers, np.inf)]
    if is_compared_single or is_single(column):
        with np.errstate(over="ignore"):
            rounded = numbers.astype(np.float32)
        below, above = (np.nextafter(rounded, np.float32(way)).astype(np.float64) for way in (-np.inf, np.inf))
        made = [below, rounded.astype(np.float64), above] if is_single(column) else [*made, below, above]
    # Next to zero there are no others that the platform would give the compiled model.
    is_tiny = np.abs(numbers) < 2 * SMALLEST
    around_zero = np.array([-2, 0, 2, -2, 2]) * SMALLEST
    return [fit_in(np.where(is_tiny, zero, each), column) for each, zero in zip(made, around_zero, strict=False)]


def middle(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Between two numbers, either of which may be infinite."""
    below = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high - np.maximum(1.0, np.abs(high)), -1.0))
    above = np.where(np.isfinite(high), high, below + np.maximum(1.0, np.abs(below)) * 2e-3)
    below = np.where(np.isfinite(low), below, above - np.maximum(1.0, np.abs(above)) * 2e-3)
    return below + (above - below) / 2
