"""Reads the trees out of models of xgboost and lightgbm. Raises RefusedError for what has no such form."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from asgard_compile.ensemble import Ensemble, Link, RefusedError, Tree

_XGBOOST_LINKS: dict[str, Link] = {
    "binary:logistic": "sigmoid",
    "multi:softprob": "softmax",
    "reg:logistic": "sigmoid",
    "reg:squarederror": "identity",
    "reg:absoluteerror": "identity",
    "reg:pseudohubererror": "identity",
    "count:poisson": "exp",
    "reg:gamma": "exp",
    "reg:tweedie": "exp",
}
_LIGHTGBM_LINKS: dict[str, Link] = {
    "binary": "sigmoid",
    "multiclass": "softmax",
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
}


def of_xgboost(estimator: Any) -> Ensemble:
    """All in single precision; a value below a threshold goes left."""
    booster = estimator.get_booster()
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    objective, gradient_booster = learner["objective"]["name"], learner["gradient_booster"]
    if gradient_booster["name"] != "gbtree" or objective not in _XGBOOST_LINKS:
        raise RefusedError(f"xgboost's {gradient_booster['name']} with {objective} is not known to be the same in ONNX")
    link = _XGBOOST_LINKS[objective]
    model, parameters = gradient_booster["model"], learner["learner_model_param"]
    targets = max(1, int(parameters["num_class"]))
    score = np.asarray(json.loads(parameters["base_score"]), dtype=np.float64).reshape(-1)
    base = np.broadcast_to([_to_margin(each, link) for each in score], (targets,)).astype(np.float32)
    kept = len(model["trees"])
    if hasattr(estimator, "best_iteration") and estimator.early_stopping_rounds is not None:
        kept = int(model["iteration_indptr"][estimator.best_iteration + 1])
    trees = [
        _xgboost_tree(tree, target)
        for tree, target in zip(model["trees"][:kept], model["tree_info"][:kept], strict=True)
    ]
    return Ensemble(trees, targets, base, link, is_strict=True, takes_float32=True, is_float32=True)


def of_lightgbm(estimator: Any) -> Ensemble:
    """In doubles; a value that is at most a threshold goes left."""
    dump = estimator.booster_.dump_model()
    objective, *parameters = str(dump.get("objective", "")).split(" ")
    if dump.get("average_output") or objective not in _LIGHTGBM_LINKS or "sqrt" in parameters:
        raise RefusedError(f"lightgbm with {dump.get('objective')} is not known to be the same in ONNX")
    targets = int(dump["num_tree_per_iteration"])
    trees = [_lightgbm_tree(tree["tree_structure"], index % targets) for index, tree in enumerate(dump["tree_info"])]
    scale = next((float(each.partition(":")[2]) for each in parameters if each.startswith("sigmoid:")), 1.0)
    return Ensemble(trees, targets, np.zeros(targets), _LIGHTGBM_LINKS[objective], scale=scale)


def _to_margin(score: float, link: Link) -> float:
    if link == "sigmoid":
        return -math.log(1.0 / score - 1.0)
    return math.log(score) if link == "exp" else score


def _xgboost_tree(tree: dict[str, Any], target: int) -> Tree:
    if any(tree.get("split_type", [])) or int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise RefusedError("its trees split categories, or have several outputs")
    left = np.asarray(tree["left_children"], dtype=np.int64)
    right = np.asarray(tree["right_children"], dtype=np.int64)
    conditions = np.asarray(tree["split_conditions"], dtype=np.float32)  # a leaf's value stands in its place
    return Tree(np.asarray(tree["split_indices"], np.int64), conditions, left, right, conditions, int(target))


def _lightgbm_tree(root: dict[str, Any], target: int) -> Tree:
    feature: list[int] = []
    threshold: list[float] = []
    children: list[list[int]] = []
    value: list[float] = []
    open_nodes = [(root, -1, 0)]
    while open_nodes:
        node, parent, side = open_nodes.pop()
        number = len(feature)
        if parent >= 0:
            children[parent][side] = number
        children.append([-1, -1])
        if "leaf_value" in node:
            feature.append(0)
            threshold.append(0.0)
            value.append(float(node["leaf_value"]))
            continue
        if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
            raise RefusedError("its trees split categories, or take zero for a missing value")
        feature.append(int(node["split_feature"]))
        threshold.append(float(node["threshold"]))
        value.append(0.0)
        open_nodes += [(node["left_child"], number, 0), (node["right_child"], number, 1)]
    left, right = np.asarray(children, dtype=np.int64).T
    return Tree(np.asarray(feature), np.asarray(threshold), left, right, np.asarray(value), target)
