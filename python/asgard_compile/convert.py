"""Makes an ONNX model of a trained one, with doubles throughout where ONNX has them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

from asgard_compile.ensemble import RefusedError
from asgard_compile.layout import Layout
from asgard_compile.tree_converters import register

_LIBRARIES = ("sklearn", "xgboost", "lightgbm")
_OPSET = {"": 21, "ai.onnx.ml": 3}
# They hold coefficients in single precision.
_AVOIDED = {"LinearClassifier", "LinearRegressor"}
_WORDS = r"[a-zA-Z0-9_]{2,}"


def convert(estimator: Any, layout: Layout) -> onnx.ModelProto:
    """The model. Raises RefusedError, and whatever skl2onnx raises for what it cannot convert."""
    register()
    steps = list(nested(estimator))
    for step in steps:
        _check(step)
    kinds = {"number": DoubleTensorType, "text": StringTensorType}
    types = [(given.name, kinds[given.kind]([None, len(given.columns)])) for given in layout.inputs]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = convert_sklearn(
            estimator, initial_types=types, target_opset=_OPSET, black_op=_AVOIDED, options=_options(steps)
        )
    doubts = [
        str(warning.message)
        for warning in said
        if not issubclass(warning.category, (DeprecationWarning, PendingDeprecationWarning, FutureWarning))
    ]
    if doubts:
        raise RefusedError(f"its conversion warns: {doubts[0]}")
    for node in model.graph.node:
        if node.op_type == "StringNormalizer":
            # The one that every machine has: texts that are not ASCII are left to Python.
            kept = [attribute for attribute in node.attribute if attribute.name != "locale"]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("locale", "C")])
    if any(node.op_type == "TreeEnsemble" for node in model.graph.node):
        for opset in model.opset_import:
            if opset.domain == "ai.onnx.ml":
                opset.version = 5
        model.ir_version = max(model.ir_version, 8)
    return model


def nested(estimator: Any) -> Iterator[Any]:
    """An estimator, and those that it consists of once it is fitted."""
    yield estimator
    found: list[Any] = []
    for name in ("steps", "transformers_", "transformer_list", "named_estimators_", "calibrated_classifiers_"):
        found += _members(getattr(estimator, name, None))
    for name in ("best_estimator_", "final_estimator_", "regressor_"):
        found += _members(getattr(estimator, name, None))
    for each in found:
        yield from nested(each)


def _members(held: Any) -> list[Any]:
    if held is None or isinstance(held, str):
        return []
    if isinstance(held, dict):
        held = list(held.values())
    if isinstance(held, (list, tuple)):
        return [member for each in held for member in _members(each)]
    return [held] if hasattr(held, "get_params") else []


def _check(step: Any) -> None:
    kind = type(step)
    if kind.__module__.partition(".")[0] not in _LIBRARIES:
        raise RefusedError(f"a {kind.__module__}.{kind.__name__} cannot be turned into ONNX")
    for name, value in step.get_params(deep=False).items():
        if callable(value) and not inspect.isclass(value) and not hasattr(value, "get_params"):
            raise RefusedError(f"{name} of its {kind.__name__} is a function of Python")


def _options(steps: list[Any]) -> dict[int, dict[str, Any]]:
    options: dict[int, dict[str, Any]] = {}
    for step in steps:
        if hasattr(step, "classes_") and not hasattr(step, "steps"):
            options[id(step)] = {"zipmap": False}
        elif hasattr(step, "token_pattern"):
            if step.analyzer != "word" or step.token_pattern != r"(?u)\b\w\w+\b":
                raise RefusedError(f"the words of its {type(step).__name__} are not found as usual")
            options[id(step)] = {"tokenexp": _WORDS}
    return options
