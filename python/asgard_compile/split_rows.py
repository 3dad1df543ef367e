"""Makes rows that come to the splits of a model's trees, one step to either side of each.

Each row is led down to its split: its other columns are what the splits above ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from asgard_compile.ensemble import RefusedError
from asgard_compile.inner_ensembles import InnerEnsemble
from asgard_compile.knowledge import Knowledge
from asgard_compile.layout import GivenColumn, Layout, Rows
from asgard_compile.made_rows import is_integer, made_rows
from asgard_compile.split_steps import beside, is_flag, middle
from asgard_compile.split_through import Steps, Transform
from asgard_compile.tree_paths import Between, TreePaths

_MOST_AT_ONCE = 2_000
_MOST_CELLS = 2_000_000


class SplitRows(NamedTuple):
    """Rows beside splits, and for how many of them."""

    rows: Rows
    splits: int


def note_thresholds(found: list[InnerEnsemble], layout: Layout, known: Knowledge) -> None:
    """The range of a column that trees compare as it is given reaches over all of their thresholds."""
    for ensemble, before in found:
        for tree in ensemble.trees if not before else []:
            for feature in np.unique(tree.feature[~tree.is_leaf]):
                known.add_numbers(
                    layout.columns[feature].name, tree.threshold[~tree.is_leaf & (tree.feature == feature)]
                )


def count_splits(found: list[InnerEnsemble]) -> int:
    """Of all trees."""
    return sum(ensemble.splits() for ensemble, _ in found)


def split_rows(
    found: list[InnerEnsemble], layout: Layout, known: Knowledge, transform: Callable[[list[Any]], Transform]
) -> Iterator[SplitRows]:
    """For each split of each tree, some at a time.

    `transform(before)` makes features of rows by these steps. Raises RefusedError at a split that no rows come to.
    """
    for ensemble, before in found:
        paths = TreePaths(ensemble)
        if paths.count == 0:
            continue
        steps = Steps(paths, layout, known, transform(before)) if before else None
        width = len(layout.columns) if steps is None else steps.width
        at_once = max(1, min(_MOST_AT_ONCE, _MOST_CELLS // max(width, len(layout.columns))))
        for start in range(0, paths.count, at_once):
            end = min(start + at_once, paths.count)
            base = made_rows(layout, known, end - start, 7 + start, is_whole=False)
            between = paths.between(start, end, width)
            features, thresholds = paths.features(start, end), paths.thresholds(start, end)
            if steps is None:
                rows, is_tested = _direct(paths, layout, base, between, features, thresholds)
            else:
                rows, is_tested = steps.rows(base, between, features, thresholds)
            if not is_tested.all():
                failed = int(np.argmin(is_tested))
                where = f"feature {features[failed]} at {float(thresholds[failed])!r}"
                raise RefusedError(f"no rows could be made that come to a split of its trees ({where}), to compare it")
            if rows:
                yield SplitRows(rows, end - start)


def _direct(
    paths: TreePaths,
    layout: Layout,
    base: Rows,
    between: Between,
    features: np.ndarray,
    thresholds: np.ndarray,
) -> tuple[Rows, np.ndarray]:
    """The trees are given the request's columns."""
    count = len(features)
    matrix = np.stack([np.asarray(base[column.name], dtype=np.float64) for column in layout.columns], axis=1)
    for at, column in enumerate(layout.columns):
        chosen = np.full(count, at)
        _lead(matrix, at, column, paths, between.of(chosen))
    steps = np.zeros((5, count))
    for at in np.unique(features):
        is_its = features == at
        made = beside(thresholds[is_its], layout.columns[at], paths.takes_float32)
        for number in range(len(steps)):
            steps[number, is_its] = made[min(number, len(made) - 1)]
    # Infinity splits off what is missing: of numbers there is one side alone.
    steps = np.where(np.isinf(thresholds), matrix[np.arange(count), features], steps)
    is_new = np.stack([~(steps[:number] == step).any(axis=0) for number, step in enumerate(steps)])
    can_come = between.holds(paths.compared(matrix))
    can_come[np.arange(count), features] = ~between.of(features).is_for_missing()[:, 0]
    is_reached = can_come.all(axis=1)
    holds = [between.of(features).holds(paths.compared(step)[:, None])[:, 0] for step in steps]
    # Between two splits of a column of whole numbers there may be none: then no request comes to what is below them.
    is_coarse = np.array([is_integer(column) or is_flag(column) for column in layout.columns])
    is_excused = can_come | is_coarse | between.is_for_missing()
    is_tested = np.where(is_reached, np.any(holds, axis=0) | is_coarse[features], is_excused.all(axis=1))
    rows: list[np.ndarray] = []
    for step, is_kept in zip(steps, is_new & is_reached, strict=True):
        changed = matrix[is_kept]
        changed[np.arange(len(changed)), features[is_kept]] = step[is_kept]
        rows.append(changed)
    every = np.concatenate(rows)
    if not len(every):
        return {}, is_tested
    return {column.name: _as_given(every[:, at], column) for at, column in enumerate(layout.columns)}, is_tested


def _lead(matrix: np.ndarray, at: int, column: GivenColumn, paths: TreePaths, between: Between) -> None:
    """Changes a column so that it is between its bounds, where the column can be."""
    low, high = between.low[:, 0], between.high[:, 0]
    holds = between.holds(paths.compared(matrix[:, [at]]))[:, 0]
    if holds.all():
        return
    between_them = middle(low, high)
    tried = [
        *beside(between_them, column, False),
        *beside(np.where(np.isfinite(high), high, between_them), column, paths.takes_float32),
        *beside(np.where(np.isfinite(low), low, between_them), column, paths.takes_float32),
    ]
    for values in tried:
        is_better = ~holds & between.holds(paths.compared(values[:, None]))[:, 0]
        matrix[is_better, at] = values[is_better]
        holds |= is_better


def _as_given(values: np.ndarray, column: GivenColumn) -> list[Any]:
    if is_flag(column):
        return (values > 0.5).tolist()
    return values.astype(np.int64).tolist() if is_integer(column) else values.tolist()
