"""Writes a tree ensemble as ONNX nodes.

Trees become `TreeEnsemble` (ai.onnx.ml 5), whose sums are doubles, and whose leaves add to one sum each. Trees whose
leaves vote for more than two classes become `TreeEnsembleClassifier` (ai.onnx.ml 3), which walks each tree once: its
sums are doubles too, but come out rounded to single precision, after it has chosen the label. (Of two classes it
chooses as if the sums were probabilities.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from asgard_compile.ensemble import Ensemble, Tree

ML = "ai.onnx.ml"
_LEQ, _LT, _SUM = 0, 1, 1
# skl2onnx refuses a later one; `convert.py` writes the true one into the model.
_KNOWN_VERSION = 3


def add_sums(container: Any, ensemble: Ensemble, source: str, target: str) -> None:
    """`base + sums` of an input [rows, features] as [rows, targets]."""
    dtype = np.float32 if ensemble.is_float32 else np.float64
    trees = _with_base_first(ensemble)
    splits = [_with_split(tree) for tree in trees]
    node_at = np.cumsum([0, *(int((~tree.is_leaf).sum()) for tree in splits)])
    leaf_at = np.cumsum([0, *(int(tree.is_leaf.sum()) for tree in splits)])
    parts = [_numbered(tree, *at) for tree, *at in zip(splits, node_at, leaf_at, strict=False)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    mode = np.full(len(columns["feature"]), _LT if ensemble.is_strict else _LEQ, dtype=np.uint8)
    container.add_node(
        "TreeEnsemble",
        source,
        target,
        op_domain=ML,
        op_version=_KNOWN_VERSION,
        n_targets=ensemble.targets,
        aggregate_function=_SUM,
        post_transform=0,
        tree_roots=[int(at) for at in node_at[:-1]],
        nodes_featureids=columns["feature"].tolist(),
        nodes_modes=numpy_helper.from_array(mode, "modes"),
        nodes_splits=numpy_helper.from_array(columns["threshold"].astype(dtype), "splits"),
        nodes_truenodeids=columns["left"].tolist(),
        nodes_trueleafs=columns["left_is_leaf"].tolist(),
        nodes_falsenodeids=columns["right"].tolist(),
        nodes_falseleafs=columns["right_is_leaf"].tolist(),
        leaf_targetids=columns["leaf_target"].tolist(),
        leaf_weights=numpy_helper.from_array(columns["leaf_value"].astype(dtype), "weights"),
    )


def add_votes(container: Any, ensemble: Ensemble, source: str, label: str, sums: str, classes: dict[str, Any]) -> None:
    """The label with most votes, and the sums of votes, in single precision, as [rows, classes]."""
    lists: dict[str, list[np.ndarray]] = {}

    def take(name: str, values: Any) -> None:
        lists.setdefault(name, []).append(np.asarray(values))

    for number, tree in enumerate(ensemble.trees):
        nodes, leaves = np.arange(len(tree.left)), np.flatnonzero(tree.is_leaf)
        take("nodes_treeids", np.full(len(nodes), number))
        take("nodes_nodeids", nodes)
        take("nodes_featureids", np.where(tree.is_leaf, 0, tree.feature))
        take("nodes_truenodeids", np.where(tree.is_leaf, 0, tree.left))
        take("nodes_falsenodeids", np.where(tree.is_leaf, 0, tree.right))
        take("is_leaf", tree.is_leaf)
        take("values", np.where(tree.is_leaf, 0.0, tree.threshold))
        take("class_treeids", np.full(len(leaves) * ensemble.targets, number))
        take("class_nodeids", np.repeat(leaves, ensemble.targets))
        take("class_ids", np.tile(np.arange(ensemble.targets), len(leaves)))
        take("weights", tree.value[leaves].reshape(-1))
    joined = {name: np.concatenate(parts) for name, parts in lists.items()}
    modes = np.where(joined.pop("is_leaf"), "LEAF", "BRANCH_LT" if ensemble.is_strict else "BRANCH_LEQ")
    container.add_node(
        "TreeEnsembleClassifier",
        source,
        [label, sums],
        op_domain=ML,
        op_version=3,
        post_transform="NONE",
        nodes_modes=modes.tolist(),
        nodes_values_as_tensor=numpy_helper.from_array(joined.pop("values"), "values"),
        class_weights_as_tensor=numpy_helper.from_array(joined.pop("weights"), "weights"),
        **{name: values.tolist() for name, values in joined.items()},
        **classes,
    )


def add_cast(container: Any, source: str, target: str, dtype: int) -> None:
    """The input as numbers of ONNX\'s type."""
    container.add_node("Cast", source, target, op_version=13, to=dtype)


def element_type(ensemble: Ensemble) -> int:
    """ONNX's type of what `add_sums` takes and gives."""
    return TensorProto.FLOAT if ensemble.is_float32 else TensorProto.DOUBLE


def _with_base_first(ensemble: Ensemble) -> list[Tree]:
    """The trees, and before them one for each constant: sums in single precision depend on their order."""
    one = np.zeros(1, dtype=np.int64)
    constants = [
        Tree(one, np.zeros(1), one - 1, one - 1, np.asarray([value]), target)
        for target, value in enumerate(ensemble.base)
        if value != 0
    ]
    return [*constants, *ensemble.trees]


def _with_split(tree: Tree) -> Tree:
    """A root has to be a node: a tree that is a leaf becomes one whose two leaves are the same."""
    if len(tree.left) > 1:
        return tree
    value = np.repeat(tree.value, 3)
    left, right = np.asarray([1, -1, -1]), np.asarray([2, -1, -1])
    return Tree(np.zeros(3, dtype=np.int64), np.zeros(3), left, right, value, tree.target)


def _numbered(tree: Tree, node_at: int, leaf_at: int) -> dict[str, np.ndarray]:
    """Nodes and leaves are numbered apart, each through all trees."""
    is_leaf = tree.is_leaf
    number = np.where(is_leaf, np.cumsum(is_leaf) - 1 + leaf_at, np.cumsum(~is_leaf) - 1 + node_at)
    left, right = tree.left[~is_leaf], tree.right[~is_leaf]
    return {
        "feature": tree.feature[~is_leaf],
        "threshold": tree.threshold[~is_leaf],
        "left": number[left],
        "left_is_leaf": is_leaf[left].astype(np.int64),
        "right": number[right],
        "right_is_leaf": is_leaf[right].astype(np.int64),
        "leaf_value": tree.value[is_leaf],
        "leaf_target": np.full(int(is_leaf.sum()), tree.target),
    }
