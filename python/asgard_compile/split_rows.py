"""Makes rows that come to the splits of a model's trees, one step to either side of each.

A step is the next number in double precision, and in single precision where that is what the trees compare.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from asgard_compile.convert import nested
from asgard_compile.ensemble import Ensemble, Tree
from asgard_compile.knowledge import Knowledge
from asgard_compile.layout import Layout, front_of
from asgard_compile.made_rows import Rows, is_integer, made_rows
from asgard_compile.tree_converters import ensemble_of

_MOST_SPLITS = 10_000
_BISECTIONS = 70


class SplitRows(NamedTuple):
    """Rows beside splits, and for how many of them."""

    rows: Rows
    splits: int
    """All that the trees have."""
    tested: int
    """Those that rows were made for."""


def ensembles_in(estimator: Any) -> list[tuple[Any, Ensemble]]:
    """The tree ensembles that an estimator consists of."""
    found = [(each, ensemble_of(each)) for each in nested(estimator)]
    return [(each, ensemble) for each, ensemble in found if ensemble is not None]


def note_thresholds(estimator: Any, layout: Layout, known: Knowledge) -> None:
    """The range of a column that trees compare as it is given reaches over all of their thresholds."""
    for owner, ensemble in ensembles_in(estimator):
        if front_of(estimator) is not owner:
            continue
        for tree in ensemble.trees:
            for feature in np.unique(tree.feature[~tree.is_leaf]):
                known.add_numbers(
                    layout.columns[feature].name, tree.threshold[~tree.is_leaf & (tree.feature == feature)]
                )


def split_rows(estimator: Any, layout: Layout, known: Knowledge, to_features: Any) -> SplitRows:
    """`to_features(rows)` gives what a pipeline hands to its last step; None where that is the request itself."""
    found = ensembles_in(estimator)
    total = sum(ensemble.splits() for _, ensemble in found)
    rows: Rows = {column.name: [] for column in layout.columns}
    tested = 0
    for owner, ensemble in found:
        if front_of(estimator) is owner:
            part, count = _direct(ensemble, layout, known)
        elif to_features is not None and estimator.steps[-1][1] is owner:
            part, count = _through(ensemble, layout, known, to_features)
        else:
            continue
        tested += count
        for name, values in part.items():
            rows[name] += values
    return SplitRows(rows, total, tested)


def _sample(ensemble: Ensemble) -> list[tuple[Tree, int]]:
    """Inner nodes of all trees; of too many, evenly chosen ones."""
    nodes = [(tree, int(node)) for tree in ensemble.trees for node in np.flatnonzero(~tree.is_leaf)]
    if len(nodes) <= _MOST_SPLITS:
        return nodes
    return [nodes[int(at)] for at in np.linspace(0, len(nodes) - 1, _MOST_SPLITS)]


def _direct(ensemble: Ensemble, layout: Layout, known: Knowledge) -> tuple[Rows, int]:
    """The trees are given the request's columns: a row is led down to a split, and set to either side of it."""
    nodes = _sample(ensemble)
    steps = _steps_of(ensemble)
    base = made_rows(layout, known, len(nodes), 7, is_whole=False)
    matrix = np.stack([np.asarray(base[column.name], dtype=np.float64) for column in layout.columns], axis=1)
    parents: dict[int, np.ndarray] = {}
    for row, (tree, node) in enumerate(nodes):
        _lead(matrix[row], tree, node, parents.setdefault(id(tree), _parents(tree)))
    features = np.asarray([tree.feature[node] for tree, node in nodes])
    thresholds = np.asarray([tree.threshold[node] for tree, node in nodes], dtype=np.float64)
    made = [_with(matrix, features, step(thresholds)) for step in steps]
    all_rows = np.concatenate(made)
    return {column.name: _as_given(all_rows[:, at], column) for at, column in enumerate(layout.columns)}, len(nodes)


def _as_given(values: np.ndarray, column: Any) -> list[Any]:
    if column.type in ("boolean", "bool"):
        return [bool(value > 0.5) for value in values]
    if is_integer(column):
        return [int(value) for value in np.rint(values)]
    return [float(value) for value in values]


def _steps_of(ensemble: Ensemble) -> list[Any]:
    def single(way: float) -> Any:
        return lambda numbers: np.nextafter(numbers.astype(np.float32), np.float32(way)).astype(np.float64)

    steps = [lambda numbers: numbers, lambda numbers: np.nextafter(numbers, -np.inf)]
    steps.append(lambda numbers: np.nextafter(numbers, np.inf))
    return [*steps, single(-np.inf), single(np.inf)] if ensemble.takes_float32 else steps


def _with(matrix: np.ndarray, features: np.ndarray, values: np.ndarray) -> np.ndarray:
    changed = matrix.copy()
    changed[np.arange(len(matrix)), features] = values
    return changed


def _parents(tree: Tree) -> np.ndarray:
    parents = np.full(len(tree.left), -1)
    inner = np.flatnonzero(~tree.is_leaf)
    parents[tree.left[inner]] = inner
    parents[tree.right[inner]] = inner
    return parents


def _lead(row: np.ndarray, tree: Tree, node: int, parents: np.ndarray) -> None:
    """Changes the row so that it comes to the node."""
    bounds: dict[int, list[float]] = {}
    child, parent = node, int(parents[node])
    while parent >= 0:
        low_high = bounds.setdefault(int(tree.feature[parent]), [-np.inf, np.inf])
        threshold = float(tree.threshold[parent])
        if tree.left[parent] == child:
            low_high[1] = min(low_high[1], threshold)
        else:
            low_high[0] = max(low_high[0], threshold)
        child, parent = parent, int(parents[parent])
    for feature, (low, high) in bounds.items():
        if low < row[feature] < high:
            continue
        if np.isfinite(low) and np.isfinite(high):
            row[feature] = low + (high - low) / 2
        else:
            row[feature] = low + max(1.0, abs(low)) * 1e-3 if np.isfinite(low) else high - max(1.0, abs(high)) * 1e-3


def _through(ensemble: Ensemble, layout: Layout, known: Knowledge, to_features: Any) -> tuple[Rows, int]:
    """The trees are given what other steps make of a request: where a column crosses a split is found by bisection."""
    origin = _origins(layout, known, to_features)
    nodes = [(tree, node) for tree, node in _sample(ensemble) if int(tree.feature[node]) in origin]
    if not nodes:
        return {}, 0
    features = np.asarray([int(tree.feature[node]) for tree, node in nodes])
    thresholds = np.asarray([tree.threshold[node] for tree, node in nodes], dtype=np.float64)
    columns = [origin[feature] for feature in features]
    base = made_rows(layout, known, len(nodes), 11, is_whole=False)
    ranges = np.asarray([known.range_of(layout.columns[column].name) for column in columns])
    width = ranges[:, 1] - ranges[:, 0]
    low, high = ranges[:, 0] - width, ranges[:, 1] + width

    def at(values: np.ndarray) -> np.ndarray:
        return to_features(_replaced(base, layout, columns, values))[np.arange(len(nodes)), features]

    is_rising = at(high) >= at(low)
    for _ in range(_BISECTIONS):
        middle = low + (high - low) / 2
        is_above = (at(middle) > thresholds) == is_rising
        low, high = np.where(is_above, low, middle), np.where(is_above, middle, high)
    parts = [_replaced(base, layout, columns, values) for values in (low, high)]
    return {name: [*parts[0][name], *parts[1][name]] for name in base}, len(nodes)


def _origins(layout: Layout, known: Knowledge, to_features: Any) -> dict[int, int]:
    """Which features follow from one column of fractions alone, and which column that is."""
    rows = made_rows(layout, known, 16, 3, is_whole=False)
    before = to_features(rows)
    follows: dict[int, set[int]] = {}
    for at, column in enumerate(layout.columns):
        if column.kind != "number" or column.values is not None:
            continue
        low, high = known.range_of(column.name)
        moved = {**rows, column.name: made_rows(layout, known, 16, 5, is_whole=False)[column.name]}
        if is_integer(column) or column.type in ("boolean", "bool", "float", "float32") or low == high:
            continue
        for feature in np.flatnonzero((to_features(moved) != before).any(axis=0)):
            follows.setdefault(int(feature), set()).add(at)
    return {feature: next(iter(columns)) for feature, columns in follows.items() if len(columns) == 1}


def _replaced(base: Rows, layout: Layout, columns: list[int], values: np.ndarray) -> Rows:
    rows = {name: list(given) for name, given in base.items()}
    for row, (column, value) in enumerate(zip(columns, values, strict=True)):
        rows[layout.columns[column].name][row] = float(value)
    return rows
