"""Finds rows to try a model with: its own example, rows of its training data, or a row made of what it takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from asgard.model_inputs import Column, InputSpec, to_frame
from asgard.model_known_values import known_values
from asgard.model_loading import LoadedModel

Source = Literal["INPUT_EXAMPLE", "TRAINING_ROWS", "SIGNATURE", "FEATURE_NAMES"]

_ROWS = 5
_MOST_ROWS_READ = 10_000
_MOST_BYTES_READ = 256 * 1024 * 1024
_NUMBER, _TEXT = 1.0, "a"
_VALUES: dict[str, Any] = {
    "boolean": True,
    "bool": True,
    "string": _TEXT,
    "datetime": "2025-01-01T00:00:00",
    "binary": "YQ==",
}


class Example(NamedTuple):
    """Rows for a model's `predict`. A DataFrame but for models that take tensors or other things."""

    source: Source
    rows: Any
    training: pd.DataFrame | None = None
    """All columns of the file that the rows are from, its first rows."""


def examples(model: LoadedModel, data_files: list[str]) -> Iterator[Example]:
    """What to try the model with, one after the other until one does: but for its own example all of it is guessed.

    `data_files` are paths that its training may have read: CSV or Parquet.
    """
    own = _input_example(model)
    if own is not None:
        yield Example("INPUT_EXAMPLE", own)
        return
    table = training_table(model, data_files)
    if table is not None:
        rows = table[[column.name for column in model.inputs.columns or []]]
        complete = rows.dropna()  # a script may have filled what is missing in the others
        yield Example("TRAINING_ROWS", (rows if complete.empty else complete).head(_ROWS), table)
    yield from _made(model)


def training_table(model: LoadedModel, data_files: list[str]) -> pd.DataFrame | None:
    """The first rows of the first of the files that has all of the model's columns, by name, with its other columns.

    None when there is no such file, or the model knows no names.
    """
    names = {column.name for column in model.inputs.columns or []}
    for file in data_files if names else []:
        table = read_table(file)
        if table is not None and names <= set(table.columns):
            return table
    return None


def read_table(path: str) -> pd.DataFrame | None:
    """The first rows of a CSV or Parquet file; None when it is not to be had."""
    # Whatever is wrong with it: it is only looked at because it may be of use.
    with contextlib.suppress(Exception):
        file = Path(path)
        if not file.is_file():
            return None
        if file.suffix == ".parquet":
            return pd.read_parquet(file).head(_MOST_ROWS_READ) if file.stat().st_size <= _MOST_BYTES_READ else None
        return pd.read_csv(file, sep="\t" if ".tsv" in file.suffixes else ",", nrows=_MOST_ROWS_READ)
    return None


def _input_example(model: LoadedModel) -> Any:
    if model.metadata is None or model.metadata.saved_input_example_info is None:
        return None
    with contextlib.suppress(FileNotFoundError):
        return model.metadata.load_input_example(str(model.path))
    return None


def _made(model: LoadedModel) -> Iterator[Example]:
    schema = None if model.metadata is None else model.metadata.get_input_schema()
    if schema is not None:
        tensor = schema.is_tensor_spec() and (len(schema.inputs) > 1 or len(schema.inputs[0].shape) != 2)
        if tensor or any(not hasattr(column.type, "name") for column in schema.inputs if hasattr(column, "required")):
            yield Example("SIGNATURE", _tensors(schema) if schema.is_tensor_spec() else _objects(schema))
        else:
            yield Example("SIGNATURE", _row(model.inputs, {}, _NUMBER))
        return
    columns, count = model.inputs.columns, model.inputs.count
    if columns is None and count is None:
        return
    known = known_values(model.raw)
    for other in (_NUMBER,) if model.inputs.is_numeric else (_NUMBER, _TEXT):
        yield Example("FEATURE_NAMES", _row(model.inputs, known, other))


def _row(spec: InputSpec, known: dict[str, Any], other: Any) -> pd.DataFrame:
    columns = spec.columns
    if columns is None:
        types = spec.types or [None] * (spec.count or 0)
        columns = [Column(str(number), type) for number, type in enumerate(types)]
    return to_frame({column.name: [_value(column, known, other)] for column in columns}, spec)


def _value(column: Column, known: dict[str, Any], other: Any) -> Any:
    if column.name in known:
        return known[column.name]
    return other if column.type is None else _VALUES.get(column.type, 1)


def _tensors(schema: Any) -> Any:
    tensors = {spec.name: np.ones([max(1, size) for size in spec.shape], dtype=spec.type) for spec in schema.inputs}
    return tensors if schema.has_input_names() else next(iter(tensors.values()))


def _objects(schema: Any) -> pd.DataFrame:
    """One row of a schema with lists and objects in it."""
    columns = {column.name if schema.has_input_names() else 0: [_object(column.type)] for column in schema.inputs}
    return pd.DataFrame(columns)


def _object(type_: Any) -> Any:
    if hasattr(type_, "properties"):
        return {each.name: _object(each.dtype) for each in type_.properties if each.required}
    if hasattr(type_, "value_type"):
        return {_TEXT: _object(type_.value_type)}
    if hasattr(type_, "dtype"):
        return [_object(type_.dtype)]
    name = getattr(type_, "name", None)
    if name == "datetime":
        return pd.Timestamp(_VALUES[name])
    if name in ("integer", "long"):
        return 1
    return _VALUES.get(name or "", _NUMBER)
