"""Has skl2onnx convert tree ensembles by their exact numbers: its own converters round them to single precision."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType, StringTensorType
from sklearn.impute import SimpleImputer

from asgard_compile import boosters, tree_sources
from asgard_compile.ensemble import Ensemble, RefusedError, one_vote_each
from asgard_compile.ensemble_nodes import add_cast, add_sums, add_votes, element_type

_SOURCES: dict[str, Callable[[Any], Ensemble]] = {
    "sklearn.tree:DecisionTreeClassifier": tree_sources.of_trees,
    "sklearn.tree:DecisionTreeRegressor": tree_sources.of_trees,
    "sklearn.tree:ExtraTreeClassifier": tree_sources.of_trees,
    "sklearn.tree:ExtraTreeRegressor": tree_sources.of_trees,
    "sklearn.ensemble:RandomForestClassifier": tree_sources.of_trees,
    "sklearn.ensemble:RandomForestRegressor": tree_sources.of_trees,
    "sklearn.ensemble:ExtraTreesClassifier": tree_sources.of_trees,
    "sklearn.ensemble:ExtraTreesRegressor": tree_sources.of_trees,
    "sklearn.ensemble:GradientBoostingClassifier": tree_sources.of_gradient_boosting,
    "sklearn.ensemble:GradientBoostingRegressor": tree_sources.of_gradient_boosting,
    "sklearn.ensemble:HistGradientBoostingClassifier": tree_sources.of_histogram_boosting,
    "sklearn.ensemble:HistGradientBoostingRegressor": tree_sources.of_histogram_boosting,
    "xgboost:XGBClassifier": boosters.of_xgboost,
    "xgboost:XGBRegressor": boosters.of_xgboost,
    "xgboost:XGBRFClassifier": boosters.of_xgboost,
    "xgboost:XGBRFRegressor": boosters.of_xgboost,
    "lightgbm:LGBMClassifier": boosters.of_lightgbm,
    "lightgbm:LGBMRegressor": boosters.of_lightgbm,
}


def register() -> None:
    """For the libraries that are there."""
    for path in _SOURCES:
        module, _, name = path.partition(":")
        with contextlib.suppress(ImportError):
            estimator_class = getattr(import_module(module), name)
            options = {"zipmap": [False], "nocl": [False]} if name.endswith("Classifier") else None
            update_registered_converter(
                estimator_class, f"Asgard{name}", _shapes, _convert, overwrite=True, options=options
            )
    update_registered_converter(SimpleImputer, "AsgardSimpleImputer", _imputer_shapes, _imputer, overwrite=True)


def ensemble_of(estimator: Any) -> Ensemble | None:
    """The trees of an estimator; None when it is no tree ensemble."""
    source = _source_of(estimator)
    return None if source is None else source(estimator)


def is_tree_ensemble(estimator: Any) -> bool:
    """Whether it is one, fitted or not."""
    return _source_of(estimator) is not None


def _source_of(estimator: Any) -> Callable[[Any], Ensemble] | None:
    kind = type(estimator)
    root = kind.__module__.partition(".")[0]
    for path, source in _SOURCES.items():
        module, _, name = path.partition(":")
        if name == kind.__name__ and module.partition(".")[0] == root:
            return source
    return None


def labels_of(estimator: Any) -> list[int] | list[str]:
    """The classes as ONNX can name them: texts, or whole numbers."""
    classes = np.asarray(estimator.classes_)
    if classes.ndim != 1:
        raise RefusedError("it has several outputs")
    if classes.dtype.kind in "biu" or (classes.dtype.kind == "f" and np.array_equal(classes, classes.astype(np.int64))):
        return [int(label) for label in classes]
    if all(isinstance(label, str) for label in classes.tolist()):
        return [str(label) for label in classes]
    raise RefusedError(f"its classes are neither texts nor whole numbers: {classes[:3].tolist()}")


def _shapes(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    estimator = operator.raw_operator
    if not hasattr(estimator, "classes_"):
        operator.outputs[0].type = DoubleTensorType([rows, 1])
        return
    labels = labels_of(estimator)
    label_type = StringTensorType if isinstance(labels[0], str) else Int64TensorType
    operator.outputs[0].type = label_type([rows])
    operator.outputs[1].type = DoubleTensorType([rows, len(labels)])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    ensemble = ensemble_of(operator.raw_operator)
    if ensemble is None:
        raise RefusedError(f"the trees of a {type(operator.raw_operator).__name__} cannot be read")
    if len(operator.inputs) != 1:
        raise RefusedError("its trees are given several inputs")
    source = _cast_in(scope, container, ensemble, operator.inputs[0].full_name)
    outputs = [output.full_name for output in operator.outputs]
    if not hasattr(operator.raw_operator, "classes_"):
        _regressor(scope, container, ensemble, source, outputs[0])
        return
    labels = labels_of(operator.raw_operator)
    if ensemble.has_votes and len(labels) == 2:
        ensemble = one_vote_each(ensemble)
    if ensemble.has_votes:
        _voters(scope, container, ensemble, source, labels, outputs)
    else:
        _boosted_classifier(scope, container, ensemble, source, labels, outputs)


def _imputer_shapes(operator: Any) -> None:
    given = operator.inputs[0].type
    width = sum(each.type.shape[1] for each in operator.inputs)
    operator.outputs[0].type = type(given)([given.shape[0], width])


def _imputer(scope: Any, operator: Any, container: Any) -> None:
    """Nothing is missing: a request in which something is goes to Python."""
    imputer = operator.raw_operator
    is_usual = isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)
    if not is_usual or imputer.add_indicator or len(operator.inputs) != 1:
        raise RefusedError("its SimpleImputer does more than fill in what is missing")
    container.add_node("Identity", operator.inputs[0].full_name, operator.outputs[0].full_name, op_version=13)


def _cast_in(scope: Any, container: Any, ensemble: Ensemble, source: str) -> str:
    names = [scope.get_unique_variable_name("rounded"), scope.get_unique_variable_name("doubled")]
    if not ensemble.takes_float32:
        add_cast(container, source, names[1], TensorProto.DOUBLE)
        return names[1]
    add_cast(container, source, names[0], TensorProto.FLOAT)
    if ensemble.is_float32:
        return names[0]
    add_cast(container, names[0], names[1], TensorProto.DOUBLE)
    return names[1]


def _sums(scope: Any, container: Any, ensemble: Ensemble, source: str) -> str:
    """After the link, or of its own scale."""
    sums = scope.get_unique_variable_name("sums")
    add_sums(container, ensemble, source, sums)
    for operation, number in (("Div", ensemble.divisor), ("Mul", ensemble.scale)):
        if number == 1.0:
            continue
        constant, result = scope.get_unique_variable_name("number"), scope.get_unique_variable_name("scaled")
        container.add_initializer(constant, element_type(ensemble), [1], [float(number)])
        container.add_node(operation, [sums, constant], result, op_version=14)
        sums = result
    operator = {"identity": "Identity", "sigmoid": "Sigmoid", "softmax": "Softmax", "exp": "Exp"}[ensemble.link]
    linked = scope.get_unique_variable_name("linked")
    attributes = {"axis": 1} if operator == "Softmax" else {}
    container.add_node(operator, sums, linked, op_version=13, **attributes)
    return linked


def _regressor(scope: Any, container: Any, ensemble: Ensemble, source: str, target: str) -> None:
    add_cast(container, _sums(scope, container, ensemble, source), target, TensorProto.DOUBLE)


def _voters(scope: Any, container: Any, ensemble: Ensemble, source: str, labels: list[Any], outputs: list[str]) -> None:
    sums, doubles, count = (scope.get_unique_variable_name(name) for name in ("votes", "doubles", "count"))
    kind = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s"
    add_votes(container, ensemble, source, outputs[0], sums, {kind: labels})
    add_cast(container, sums, doubles, TensorProto.DOUBLE)
    container.add_initializer(count, TensorProto.DOUBLE, [1], [ensemble.divisor])
    container.add_node("Div", [doubles, count], outputs[1], op_version=14)


def _boosted_classifier(
    scope: Any, container: Any, ensemble: Ensemble, source: str, labels: list[Any], outputs: list[str]
) -> None:
    probabilities = _sums(scope, container, ensemble, source)
    if ensemble.link == "sigmoid":
        one, other = scope.get_unique_variable_name("one"), scope.get_unique_variable_name("other")
        both = scope.get_unique_variable_name("both")
        container.add_initializer(one, element_type(ensemble), [1], [1.0])
        container.add_node("Sub", [one, probabilities], other, op_version=14)
        container.add_node("Concat", [other, probabilities], both, op_version=13, axis=1)
        probabilities = both
    add_cast(container, probabilities, outputs[1], TensorProto.DOUBLE)
    best, names = scope.get_unique_variable_name("best"), scope.get_unique_variable_name("labels")
    container.add_node("ArgMax", outputs[1], best, op_version=13, axis=1, keepdims=0)
    label_type = TensorProto.STRING if isinstance(labels[0], str) else TensorProto.INT64
    values = [label.encode() for label in labels] if isinstance(labels[0], str) else labels
    container.add_initializer(names, label_type, [len(labels)], values)
    container.add_node("Gather", [names, best], outputs[0], op_version=13, axis=0)
