"""Reads the trees out of fitted estimators of scikit-learn. Raises RefusedError for what has no such form."""

from __future__ import annotations

from typing import Any

import numpy as np

from asgard_compile.ensemble import Ensemble, RefusedError, Tree


def of_trees(estimator: Any) -> Ensemble:
    """A decision tree, or a forest of them: the mean of what its trees say, of values in single precision."""
    if estimator.n_outputs_ != 1:
        raise RefusedError("it has several outputs")
    members = getattr(estimator, "estimators_", None)
    is_classifier = hasattr(estimator, "classes_")
    trees = [_tree(member.tree_, is_classifier) for member in ([estimator] if members is None else members)]
    targets = len(estimator.classes_) if is_classifier else 1
    return Ensemble(trees, targets, np.zeros(targets), divisor=float(len(trees)), takes_float32=True)


def of_gradient_boosting(estimator: Any) -> Ensemble:
    """A constant, and the sum of small trees for each class."""
    init = type(estimator.init_).__name__
    if init not in ("DummyClassifier", "DummyRegressor") and estimator.init_ != "zero":
        raise RefusedError(f"its boosting starts from another model ({init})")
    row = np.zeros((1, estimator.n_features_in_), dtype=np.float32)
    base = np.asarray(estimator._raw_predict_init(row), dtype=np.float64)[0]
    trees: list[Tree] = []
    for stage in estimator.estimators_:
        for target, member in enumerate(stage):
            tree = _tree(member.tree_, is_classifier=False)
            trees.append(tree._replace(value=tree.value * estimator.learning_rate, target=target))
    if not hasattr(estimator, "classes_"):
        return Ensemble(trees, 1, base, takes_float32=True)
    # Of the exponential loss, whose sum is half of a logit.
    scale = 2.0 if estimator.loss == "exponential" else 1.0
    link = "sigmoid" if len(base) == 1 else "softmax"
    return Ensemble(trees, len(base), base, link, takes_float32=True, scale=scale)


def of_histogram_boosting(estimator: Any) -> Ensemble:
    """As gradient boosting, in double precision."""
    if estimator.is_categorical_ is not None and np.any(estimator.is_categorical_):
        raise RefusedError("its trees split categories")
    base = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(-1)
    trees = [
        _histogram_tree(predictor.nodes, target)
        for stage in estimator._predictors
        for target, predictor in enumerate(stage)
    ]
    if hasattr(estimator, "classes_"):
        return Ensemble(trees, len(base), base, "sigmoid" if len(base) == 1 else "softmax")
    link = type(estimator._loss.link).__name__
    if link not in ("IdentityLink", "LogLink"):
        raise RefusedError(f"it predicts by way of a {link}")
    return Ensemble(trees, 1, base, "exp" if link == "LogLink" else "identity")


def _tree(tree: Any, is_classifier: bool) -> Tree:
    value = np.asarray(tree.value, dtype=np.float64)[:, 0, :]
    if is_classifier:
        total = value.sum(axis=1, keepdims=True)
        # Before version 1.3 these are counts.
        value = value if np.allclose(total, 1.0) else value / total
    else:
        value = value[:, 0]
    left = np.asarray(tree.children_left, dtype=np.int64)
    threshold = np.asarray(tree.threshold, dtype=np.float64)
    return Tree(np.asarray(tree.feature, np.int64), threshold, left, np.asarray(tree.children_right, np.int64), value)


def _histogram_tree(nodes: np.ndarray, target: int) -> Tree:
    is_leaf = nodes["is_leaf"].astype(bool)
    left = np.where(is_leaf, -1, nodes["left"].astype(np.int64))
    right = np.where(is_leaf, -1, nodes["right"].astype(np.int64))
    threshold = nodes["num_threshold"].astype(np.float64)
    return Tree(nodes["feature_idx"].astype(np.int64), threshold, left, right, nodes["value"].astype(float), target)
