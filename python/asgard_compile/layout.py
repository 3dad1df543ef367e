"""What a compiled model is given: which of a request's columns go into which input of the ONNX file, and as what."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from asgard.model_inputs import InputSpec
from asgard_compile.ensemble import RefusedError

Kind = Literal["number", "text"]
Rows = dict[str, list[Any]]
"""A request's columns, `{column: [values]}`."""

_NUMBERS = {
    "boolean",
    "integer",
    "long",
    "float",
    "double",
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float32",
    "float64",
}


class GivenColumn(NamedTuple):
    """A column of a request."""

    name: str
    """Empty where columns are taken in the order given."""
    type: str | None
    """MLflow's name of it; None where none is known."""
    kind: Kind
    values: list[Any] | None = None
    """All that it may hold; None: anything of its kind."""


class OnnxInput(NamedTuple):
    """An input of the ONNX file: [rows, columns]."""

    name: str
    kind: Kind
    columns: list[int]
    """Numbers of columns of the request, in the model's order."""


class Layout(NamedTuple):
    """All of that."""

    columns: list[GivenColumn]
    has_names: bool
    inputs: list[OnnxInput]


def layout_of(estimator: Any, spec: InputSpec, known: dict[str, list[Any]], texts: set[str]) -> Layout:
    """Raises RefusedError when it cannot be told what the model takes.

    `known` are values that encoders know, by column; `texts` are columns of which it is known that they hold text.
    """
    columns = [
        GivenColumn(name, type_, _kind_of(name, type_, known, texts), known.get(name))
        for name, type_ in _names_and_types(spec)
    ]
    front = front_of(estimator)
    if hasattr(front, "transformers_"):
        if spec.columns is None:
            raise RefusedError("its columns have no names")
        inputs = [OnnxInput(column.name, column.kind, [number]) for number, column in enumerate(columns)]
        return Layout(columns, True, inputs)
    names = [str(name) for name in getattr(front, "feature_names_in_", [])]
    if spec.columns is not None and names and names != [column.name for column in columns]:
        raise RefusedError("its signature names other columns than it was trained with")
    kinds = {column.kind for column in columns}
    if len(kinds) != 1:
        raise RefusedError("it takes numbers and texts side by side")
    return Layout(columns, spec.columns is not None, [OnnxInput("X", kinds.pop(), list(range(len(columns))))])


def front_of(estimator: Any) -> Any:
    """What is given the input itself."""
    if hasattr(estimator, "best_estimator_"):
        return front_of(estimator.best_estimator_)
    if isinstance(getattr(estimator, "steps", None), list):
        steps = [step for _, step in estimator.steps if hasattr(step, "fit")]
        return front_of(steps[0]) if steps else estimator
    return estimator


def feeds(layout: Layout, rows: Rows) -> dict[str, np.ndarray]:
    """The inputs of the ONNX file for the columns of a request, as the platform makes them."""
    given = list(rows.values())
    columns = [rows[column.name] if layout.has_names else given[at] for at, column in enumerate(layout.columns)]
    made: dict[str, np.ndarray] = {}
    for each in layout.inputs:
        arrays = [_array(columns[at], layout.columns[at]) for at in each.columns]
        made[each.name] = np.stack(arrays, axis=1)
    return made


def _array(values: list[Any], column: GivenColumn) -> np.ndarray:
    if column.kind == "text":
        return np.asarray(values, dtype=object)
    numbers = np.asarray(values, dtype=np.float64)
    return numbers.astype(np.float32).astype(np.float64) if column.type in ("float", "float32") else numbers


def _names_and_types(spec: InputSpec) -> list[tuple[str, str | None]]:
    if spec.columns is not None:
        if not all(column.is_required for column in spec.columns):
            raise RefusedError("some of its columns may be left out")
        return [(column.name, column.type) for column in spec.columns]
    if spec.count is None:
        raise RefusedError("it is not known how many columns it takes")
    return [(f"column {number}", type_) for number, type_ in enumerate(spec.types or [None] * spec.count)]


def _kind_of(name: str, type_: str | None, known: dict[str, list[Any]], texts: set[str]) -> Kind:
    if type_ in _NUMBERS:
        return "number"
    if type_ == "string":
        return "text"
    if type_ is not None:
        raise RefusedError(f"column '{name}' is of type {type_}")
    if name in texts or any(isinstance(value, str) for value in known.get(name, [])):
        return "text"
    return "number"
