"""Makes rows beside splits of trees that are given what other steps make of a request.

Where a column crosses a split is found by bisection, in all columns of a row at once, as each feature follows from one
column alone; of a column with few values, such as categories, all are tried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from asgard_compile.ensemble import RefusedError
from asgard_compile.knowledge import Knowledge
from asgard_compile.layout import GivenColumn, Layout, Rows
from asgard_compile.made_rows import is_integer, made_rows
from asgard_compile.split_steps import fit_in, is_flag, middle
from asgard_compile.tree_paths import Between, TreePaths

Transform = Callable[[Rows], np.ndarray]
"""Makes features of rows: [rows, features] in double precision."""

_MOST_VALUES = 2_000
_BISECTIONS = 200
_WIDENINGS = 24
_TRIED = 256
_NONE, _SEVERAL = -1, -2


class _Target(NamedTuple):
    """What a column is to cross: of each row, whether anything, and which number of which feature."""

    is_sought: np.ndarray
    feature: np.ndarray
    number: np.ndarray


class Steps:
    """The steps before an ensemble. Raises RefusedError for a column of too many categories."""

    def __init__(self, paths: TreePaths, layout: Layout, known: Knowledge, transform: Transform) -> None:
        self._paths, self._layout, self._known, self._transform = paths, layout, known, transform
        self._tables: dict[int, np.ndarray] = {}
        """Of columns with few values: the features for each of them."""
        rows = made_rows(layout, known, _TRIED, 3, is_whole=False)
        before = transform(rows)
        self.width = before.shape[1]
        self._origin = np.full(self.width, _NONE)
        """The column that a feature follows from."""
        for at, column in enumerate(layout.columns):
            changes = self._changes(at, column, rows, before)
            self._origin[changes] = np.where(self._origin[changes] == _NONE, at, _SEVERAL)

    def rows(
        self, base: Rows, between: Between, features: np.ndarray, thresholds: np.ndarray
    ) -> tuple[Rows, np.ndarray]:
        """Rows to both sides of each split, and whether all that can come to it was come to."""
        count = len(features)
        split_columns = self._origin[features]
        is_few = np.isin(split_columns, list(self._tables))
        matrix = self._numbers_of(base)
        left, right = matrix.copy(), matrix.copy()
        # No request comes to a split that no value of a column with few of them leads to.
        is_possible = ~between.is_for_missing().any(axis=1)
        for at in self._tables:
            is_possible &= self._choose(at, between, features, thresholds, (matrix, left, right))
        self._cross(base, between, features, thresholds, (matrix, left, right))
        is_tested = split_columns >= 0
        sides: list[np.ndarray] = []
        for side in (left, right):
            rows = matrix.copy()
            its = np.flatnonzero(is_few | (split_columns >= 0) & np.isfinite(thresholds))
            rows[its, split_columns[its]] = side[its, split_columns[its]]
            sides.append(rows)
        held = between.of(features)
        for number, rows in enumerate(sides):
            made = self._paths.compared(self._transform(self._as_rows(base, rows)))
            value = made[np.arange(count), features]
            # The nearest value to this side does not come to the split: nothing does.
            is_beyond = ~held.holds(value[:, None])[:, 0]
            is_other = self._paths.is_left(value, thresholds) != (number == 0)
            # Of few values all may go to one side, and where infinity splits missing values off, all others do.
            is_one_sided = is_few | np.isinf(thresholds)
            is_tested &= np.where(is_other, is_one_sided, between.holds(made).all(axis=1) | is_beyond)
        is_tested |= ~is_possible
        kept = np.flatnonzero(is_tested & is_possible)
        if not len(kept):
            return {}, is_tested
        parts = [self._as_rows(base, rows) for rows in sides]
        return {name: [part[name][row] for part in parts for row in kept] for name in base}, is_tested

    def _changes(self, at: int, column: GivenColumn, rows: Rows, before: np.ndarray) -> np.ndarray:
        values = _listed(column)
        if values is None:
            moved = made_rows(self._layout, self._known, _TRIED, 5, is_whole=False)[column.name]
            changes = np.flatnonzero((self._transform({**rows, column.name: moved}) != before).any(axis=0))
            # Which text makes which feature is not known.
            if column.kind == "text":
                self._origin[changes] = _SEVERAL
            return changes
        if len(values) > _MOST_VALUES:
            raise RefusedError(f"column '{column.name}' has more than {_MOST_VALUES} categories before its trees")
        first = {name: [given[0]] * len(values) for name, given in rows.items()}
        table = self._transform({**first, column.name: list(values)})
        self._tables[at] = self._paths.compared(table)
        return np.flatnonzero((table != table[0]).any(axis=0))

    def _choose(
        self, at: int, between: Between, features: np.ndarray, thresholds: np.ndarray, to: tuple[np.ndarray, ...]
    ) -> np.ndarray:
        """Chooses values of a column with few; returns whether there is any that leads to the split."""
        table, count = self._tables[at], len(features)
        matrix, left, right = to
        leads = np.ones((count, len(table)), dtype=bool)
        its = np.flatnonzero(self._origin == at)
        for feature in its[(np.isfinite(between.low[:, its]) | np.isfinite(between.high[:, its])).any(axis=0)]:
            bounds = between.of(np.full(count, feature))
            leads &= bounds.holds(np.broadcast_to(table[:, feature], (count, len(table))))
        current = matrix[:, at].astype(int)
        rows = np.arange(count)
        matrix[:, at] = np.where(leads[rows, current], current, leads.argmax(axis=1))
        split = np.flatnonzero(self._origin[features] == at)
        values = table[:, features[split]].T
        is_left = self._paths.is_left(values, thresholds[split, None])
        for side, is_its, far in ((left, is_left, -np.inf), (right, ~is_left, np.inf)):
            is_its = is_its & leads[split]
            near = np.where(is_its, values, far)
            chosen = near.argmax(axis=1) if far < 0 else near.argmin(axis=1)
            # Where no value goes to this side, both rows go to the other.
            side[split, at] = np.where(is_its.any(axis=1), chosen, matrix[split, at])
        return leads.any(axis=1)

    def _cross(
        self,
        base: Rows,
        between: Between,
        features: np.ndarray,
        thresholds: np.ndarray,
        to: tuple[np.ndarray, ...],
    ) -> None:
        """Finds where columns of many numbers cross the split, or come between what is above it."""
        matrix, left, right = to
        made = self._paths.compared(self._transform(self._as_rows(base, matrix)))
        targets = {
            at: self._target(at, between, features, thresholds, between.holds(made))
            for at, column in enumerate(self._layout.columns)
            if column.kind == "number" and at not in self._tables
        }
        targets = {at: target for at, target in targets.items() if target.is_sought.any()}
        if not targets:
            return
        low, high = matrix.copy(), matrix.copy()
        for at, target in targets.items():
            column = self._layout.columns[at]
            least, most = self._known.range_of(column.name)
            low[target.is_sought, at] = fit_in(np.array([least - (most - least)]), column)
            high[target.is_sought, at] = fit_in(np.array([most + (most - least)]), column)
        for _ in range(_WIDENINGS):
            ends = [self._sides(base, end, targets) for end in (low, high)]
            wide = {at: (ends[0][at] == ends[1][at]) & target.is_sought for at, target in targets.items()}
            if not any(wider.any() for wider in wide.values()):
                break
            for at, wider in wide.items():
                width = high[wider, at] - low[wider, at]
                low[wider, at] = fit_in(low[wider, at] - 2 * width, self._layout.columns[at])
                high[wider, at] = fit_in(high[wider, at] + 2 * width, self._layout.columns[at])
        starts = self._sides(base, low, targets)
        for _ in range(_BISECTIONS):
            between_them = low.copy()
            is_open = np.zeros(low.shape, dtype=bool)
            for at, target in targets.items():
                half = fit_in(low[:, at] + (high[:, at] - low[:, at]) / 2, self._layout.columns[at])
                is_open[:, at] = target.is_sought & (half != low[:, at]) & (half != high[:, at])
                between_them[is_open[:, at], at] = half[is_open[:, at]]
            if not is_open.any():
                break
            for at, sides in self._sides(base, between_them, targets).items():
                is_start = sides == starts[at]
                low[:, at] = np.where(is_open[:, at] & is_start, between_them[:, at], low[:, at])
                high[:, at] = np.where(is_open[:, at] & ~is_start, between_them[:, at], high[:, at])
        holds = between.holds(self._paths.compared(self._transform(self._as_rows(base, low))))
        for at, target in targets.items():
            is_split = (self._origin[features] == at) & np.isfinite(thresholds)
            is_low = holds[:, self._origin == at].all(axis=1)
            chosen = np.where(is_low, low[:, at], high[:, at])
            matrix[:, at] = np.where(target.is_sought & ~is_split, chosen, matrix[:, at])
            goes_left = self._sides(base, low, {at: target})[at]
            left[:, at] = np.where(is_split, np.where(goes_left, low[:, at], high[:, at]), left[:, at])
            right[:, at] = np.where(is_split, np.where(goes_left, high[:, at], low[:, at]), right[:, at])

    def _target(
        self, at: int, between: Between, features: np.ndarray, thresholds: np.ndarray, holds: np.ndarray
    ) -> _Target:
        its = np.flatnonzero(self._origin == at)
        is_split = (self._origin[features] == at) & np.isfinite(thresholds)
        is_off = ~holds[:, its]
        feature = its[is_off.argmax(axis=1)] if len(its) else np.zeros(len(features), dtype=int)
        rows = np.arange(len(features))
        asked = middle(between.low[rows, feature], between.high[rows, feature])
        return _Target(
            is_split | is_off.any(axis=1), np.where(is_split, features, feature), np.where(is_split, thresholds, asked)
        )

    def _sides(self, base: Rows, matrix: np.ndarray, targets: dict[int, _Target]) -> dict[int, np.ndarray]:
        """Of each column, whether rows are to the left of what it is to cross."""
        made = self._paths.compared(self._transform(self._as_rows(base, matrix)))
        rows = np.arange(len(matrix))
        return {at: self._paths.is_left(made[rows, target.feature], target.number) for at, target in targets.items()}

    def _numbers_of(self, base: Rows) -> np.ndarray:
        """The numbers of columns; of columns with few values, which of them it is."""
        columns: list[np.ndarray] = []
        for column in self._layout.columns:
            values = base[column.name]
            listed = _listed(column)
            if listed is not None:
                number = {value: index for index, value in enumerate(listed)}
                columns.append(np.asarray([number[value] for value in values], dtype=np.float64))
            else:
                is_number = column.kind == "number"
                columns.append(np.asarray(values if is_number else np.zeros(len(values)), dtype=np.float64))
        return np.stack(columns, axis=1)

    def _as_rows(self, base: Rows, matrix: np.ndarray) -> Rows:
        rows: Rows = {}
        for at, column in enumerate(self._layout.columns):
            values, listed = matrix[:, at], _listed(column)
            if listed is not None:
                rows[column.name] = [listed[int(value)] for value in values]
            elif column.kind == "text":
                rows[column.name] = base[column.name]
            else:
                rows[column.name] = (values.astype(np.int64) if is_integer(column) else values).tolist()
        return rows


def _listed(column: GivenColumn) -> list[Any] | None:
    """All that it may hold, where that is known."""
    return [False, True] if is_flag(column) else column.values
