"""Tree ensembles, whichever library trained them, in one form: arrays of nodes, and what becomes of their sum."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Link = Literal["identity", "sigmoid", "softmax", "exp"]


class RefusedError(Exception):
    """The model is not to be compiled. The message says why."""


class Tree(NamedTuple):
    """One tree. Node 0 is its root; a node without children (`left` is -1) is a leaf."""

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    """Where a value goes that is at most the threshold; with `is_strict` one that is below it."""
    right: np.ndarray
    value: np.ndarray
    """Of leaves: a number for each node, or a row of them when each leaf votes for all classes."""
    target: int = 0
    """Which sum a leaf's one number adds to."""

    @property
    def is_leaf(self) -> np.ndarray:
        """Of each node."""
        return self.left < 0


class Ensemble(NamedTuple):
    """`link(base + sum of the leaves that a row comes to) `, divided; in doubles unless `is_float32`."""

    trees: list[Tree]
    targets: int
    base: np.ndarray
    """Added to each sum."""
    link: Link = "identity"
    divisor: float = 1.0
    """Of the sum."""
    is_strict: bool = False
    """Whether a value that equals a threshold goes right."""
    takes_float32: bool = False
    """Whether values are rounded to single precision before they are compared."""
    is_float32: bool = False
    """Whether thresholds and sums are of single precision, too."""
    scale: float = 1.0
    """What the sum is multiplied with before the link."""

    @property
    def has_votes(self) -> bool:
        """Whether each leaf adds to all sums."""
        return self.trees[0].value.ndim == 2

    def splits(self) -> int:
        """How often a value is compared, in all trees."""
        return sum(int((~tree.is_leaf).sum()) for tree in self.trees)


def one_vote_each(ensemble: Ensemble) -> Ensemble:
    """The same with each tree once for each class, its leaves voting for that one alone."""
    trees = [
        tree._replace(value=tree.value[:, target], target=target)
        for target in range(ensemble.targets)
        for tree in ensemble.trees
    ]
    return ensemble._replace(trees=trees)
