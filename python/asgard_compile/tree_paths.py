"""The nodes of all trees of an ensemble in one list, and what leads to each: the bounds of features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from asgard_compile.ensemble import Ensemble


class Between(NamedTuple):
    """What features of rows have to be to come to nodes: [nodes, features] each."""

    low: np.ndarray
    high: np.ndarray
    is_strict: bool
    """Whether a feature may equal its lower bound and has to be below its upper one; else the other way round."""

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Of each value [nodes, features], as the trees compare it, whether it is between its bounds."""
        if self.is_strict:
            return (values >= self.low) & (values < self.high)
        return (values > self.low) & (values <= self.high)

    def is_for_missing(self) -> np.ndarray:
        """Of each feature, whether no number is what is asked: infinity splits off what is missing."""
        return (self.low == np.inf) | (self.high == -np.inf)

    def of(self, columns: np.ndarray) -> Between:
        """Of one feature for each node: [nodes, 1]."""
        at = (np.arange(len(columns)), columns)
        return Between(self.low[at][:, None], self.high[at][:, None], self.is_strict)


class TreePaths:
    """The splits of an ensemble, numbered through all of its trees."""

    def __init__(self, ensemble: Ensemble) -> None:
        self.is_strict, self.takes_float32 = ensemble.is_strict, ensemble.takes_float32
        starts = np.cumsum([0, *(len(tree.left) for tree in ensemble.trees)])
        self._feature = np.concatenate([tree.feature for tree in ensemble.trees])
        self._threshold = np.concatenate([tree.threshold for tree in ensemble.trees]).astype(np.float64)
        self._parent = np.full(int(starts[-1]), -1)
        self._is_left = np.zeros(int(starts[-1]), dtype=bool)
        splits: list[np.ndarray] = []
        for tree, start in zip(ensemble.trees, starts[:-1], strict=True):
            inner = np.flatnonzero(~tree.is_leaf)
            self._parent[start + tree.left[inner]] = start + inner
            self._parent[start + tree.right[inner]] = start + inner
            self._is_left[start + tree.left[inner]] = True
            splits.append(start + inner)
        self._splits = np.concatenate(splits)
        self.count = len(self._splits)

    def features(self, start: int, end: int) -> np.ndarray:
        """Which feature the splits compare."""
        return self._feature[self._splits[start:end]]

    def thresholds(self, start: int, end: int) -> np.ndarray:
        """With what they compare it, in double precision."""
        return self._threshold[self._splits[start:end]]

    def between(self, start: int, end: int, width: int) -> Between:
        """What leads to the splits; `width` is how many features there are."""
        child = self._splits[start:end]
        low, high = np.full((len(child), width), -np.inf), np.full((len(child), width), np.inf)
        rows, parent = np.arange(len(child)), self._parent[child]
        while True:
            is_inner = parent >= 0
            if not is_inner.any():
                return Between(low, high, self.is_strict)
            rows, child, parent = rows[is_inner], child[is_inner], parent[is_inner]
            at = (rows, self._feature[parent])
            threshold, is_left = self._threshold[parent], self._is_left[child]
            high[at] = np.where(is_left, np.minimum(high[at], threshold), high[at])
            low[at] = np.where(is_left, low[at], np.maximum(low[at], threshold))
            child, parent = parent, self._parent[parent]

    def compared(self, values: np.ndarray) -> np.ndarray:
        """Values as the trees compare them."""
        if not self.takes_float32:
            return values
        with np.errstate(over="ignore"):
            return values.astype(np.float32).astype(np.float64)

    def is_left(self, values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        """Where values, as the trees compare them, go."""
        return values < thresholds if self.is_strict else values <= thresholds
