"""Turns the columns of a request into what a model takes, or says which column and row is wrong.

`{"age": [31, 45], "plan": ["a", "b"]}` becomes a pandas DataFrame of two rows with the columns in the model's order and
of the model's types.
"""

from __future__ import annotations

import base64
import math
import unicodedata
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from asgard.nearest import nearest_names

_TEXT_SHOWN = 40  # characters of a wrong value that a message repeats
_NAME_SHOWN = 100  # characters of a column's name
_NAMES_SHOWN = 10  # of many wrong names
_NEAREST_AMONG = 200  # names that a wrong one is compared with


class InvalidInputError(Exception):
    """What the caller gave is wrong. `path` leads to it in the request: `["inputs", "age", 3]` is row 3 of a column."""

    def __init__(self, message: str, path: list[str | int]) -> None:
        super().__init__(message)
        self.path = path


class Column(NamedTuple):
    """A column that a model takes. `type` is MLflow's name of it, a numpy one for tensors, None where none is known."""

    name: str
    type: str | None
    is_required: bool = True


class InputSpec(NamedTuple):
    """What is known of a model's input.

    With `columns` they are taken by name. Without, columns are taken in the order given: `count` of them, if it is
    known, of `types`, if they are known. `is_numeric` says that columns without a type hold numbers.
    """

    columns: list[Column] | None = None
    count: int | None = None
    types: list[str | None] | None = None
    is_numeric: bool = False


def to_frame(inputs: object, spec: InputSpec) -> pd.DataFrame:
    """The inputs as a DataFrame for the model. Raises InvalidInputError that names what is wrong."""
    columns = _checked_columns(inputs)
    ordered = _by_position(columns, spec) if spec.columns is None else _by_name(columns, spec.columns)
    _check_lengths(columns)
    return _joined([(column.name, _to_values(column, columns[column.name], spec.is_numeric)) for column in ordered])


def _joined(columns: list[tuple[str, np.ndarray | pd.Series]]) -> pd.DataFrame:
    """The columns side by side; as one block if they are of one type, which pandas makes faster."""
    arrays = [values for _, values in columns if isinstance(values, np.ndarray)]
    if len(arrays) == len(columns) and len({array.dtype for array in arrays}) == 1:
        return pd.DataFrame(np.stack(arrays, axis=1), columns=[name for name, _ in columns])
    return pd.DataFrame(dict(columns))


def _checked_columns(inputs: object) -> dict[str, list[Any]]:
    if not isinstance(inputs, dict):
        raise InvalidInputError(f"inputs must be an object of columns, not {_describe(inputs)}", ["inputs"])
    if not inputs:
        raise InvalidInputError("inputs has no column", ["inputs"])
    for name, values in inputs.items():
        if not isinstance(values, list):
            raise InvalidInputError(
                f"column '{name}' must be a list with a value for each row, not {_describe(values)}", ["inputs", name]
            )
        if not values:
            raise InvalidInputError(f"column '{name}' has no row", ["inputs", name])
    return inputs


def _by_name(columns: dict[str, list[Any]], expected: list[Column]) -> list[Column]:
    names = {column.name for column in expected}
    missing = [column.name for column in expected if column.is_required and column.name not in columns]
    unknown = [name for name in columns if name not in names]
    problems: list[str] = []
    if missing:
        problems.append(f"missing {_list_with_nearest(missing, unknown, 'given')}")
    if unknown:
        absent = [column.name for column in expected if column.name not in columns]
        candidates = absent or [column.name for column in expected]
        problems.append(f"unknown {_list_with_nearest(unknown, candidates, 'expected')}")
    if problems:
        culprits = missing or unknown
        path: list[str | int] = ["inputs", *culprits] if len(culprits) == 1 else ["inputs"]
        raise InvalidInputError("; ".join(problems), path)
    return [column for column in expected if column.name in columns]


def _by_position(columns: dict[str, list[Any]], spec: InputSpec) -> list[Column]:
    if spec.count is not None and len(columns) != spec.count:
        raise InvalidInputError(
            f"the model takes {spec.count} columns (it knows no names, so in its training's order), not {len(columns)}",
            ["inputs"],
        )
    types = spec.types or [None] * len(columns)
    names = list(columns) if spec.count is None else _in_order(columns)
    return [Column(name, type) for name, type in zip(names, types, strict=True)]


def _in_order(columns: dict[str, list[Any]]) -> list[str]:
    """As given; but JavaScript puts names that are numbers first, in their order, which has to be the meant one."""
    numbers = [int(name) for name in columns if _is_number(name)]
    if not numbers:
        return list(columns)
    if sorted(numbers) != list(range(len(columns))):
        raise InvalidInputError(
            "the model knows no names, so columns that are named by whole numbers are taken for the numbers of its "
            f"columns: they must be '0' to '{len(columns) - 1}'",
            ["inputs"],
        )
    return sorted(columns, key=int)


def _is_number(name: str) -> bool:
    return len(name) <= 10 and name.isascii() and name.isdigit() and str(int(name)) == name


def _check_lengths(columns: dict[str, list[Any]]) -> None:
    first, *others = columns
    for name in others:
        if len(columns[name]) != len(columns[first]):
            raise InvalidInputError(
                f"columns differ in length: '{first}' has {len(columns[first])} values, "
                f"'{name}' has {len(columns[name])}",
                ["inputs", name],
            )


def _to_values(column: Column, values: list[Any], is_numeric: bool) -> np.ndarray | pd.Series:
    """Numbers and truth values as an array, which a DataFrame is made of in less time."""
    if column.type in _CONVERTERS:
        return _CONVERTERS[column.type](column.name, values)
    if column.type is None and is_numeric:
        return _numbers_of_any_kind(column.name, values)
    return _inferred(values) if column.type is None else pd.Series(values, dtype=object)


def _inferred(values: list[Any]) -> np.ndarray | pd.Series:
    """Of the type that pandas finds for them. Where that is certain it is not asked, which takes longer."""
    kinds = set(map(type, values))
    if kinds in ({float}, {bool}) or (kinds == {int} and _are_within(values, np.iinfo("int64"))):
        return np.array(values)
    return pd.Series(values)


def _check_each(name: str, values: list[Any], kinds: tuple[type, ...], expected: str) -> None:
    """Fails at the first value whose type is none of `kinds`. A bool is not an int here."""
    if set(map(type, values)) <= set(kinds):
        return
    for row, value in enumerate(values):
        if type(value) not in kinds:
            raise _wrong_value(name, row, value, expected)


def _wrong_value(name: str, row: int, value: object, expected: str) -> InvalidInputError:
    return InvalidInputError(
        f"column '{name}', row {row}: {expected} is expected, not {_describe(value)}", ["inputs", name, row]
    )


def _numbers_of_any_kind(name: str, values: list[Any]) -> np.ndarray:
    kinds = set(map(type, values))
    if kinds == {bool}:
        return np.array(values, dtype=bool)
    if kinds <= {bool, int} and _are_within(values, np.iinfo("int64")):
        return np.array(values, dtype="int64")
    _check_each(name, values, (bool, int, float, type(None)), "a number")
    return _floats(name, values, "float64")


def _floats_of(dtype: str) -> Callable[[str, list[Any]], np.ndarray | pd.Series]:
    def convert(name: str, values: list[Any]) -> np.ndarray:
        _check_each(name, values, (int, float, type(None)), "a number")
        return _floats(name, values, dtype)

    return convert


def _floats(name: str, values: list[Any], dtype: str) -> np.ndarray:
    """Null means not known, which is NaN."""
    largest = float(np.finfo(dtype).max)
    for row, value in enumerate(values):
        if value is not None and not -largest <= value <= largest and value == value:  # NaN is unequal to itself
            raise _wrong_value(name, row, value, f"a number from {-largest:g} to {largest:g}")
    return np.array([math.nan if value is None else value for value in values], dtype=dtype)


def _integers_of(dtype: str) -> Callable[[str, list[Any]], np.ndarray | pd.Series]:
    bounds = np.iinfo(dtype)

    def convert(name: str, values: list[Any]) -> np.ndarray:
        if set(map(type, values)) == {int} and _are_within(values, bounds):
            return np.array(values, dtype=dtype)
        for row, value in enumerate(values):
            if type(value) is not int and not (type(value) is float and value.is_integer()):
                raise _wrong_value(name, row, value, "a whole number")
            if not _are_within([value], bounds):
                raise _wrong_value(name, row, value, f"a whole number from {bounds.min} to {bounds.max}")
        return np.array([int(value) for value in values], dtype=dtype)

    return convert


def _are_within(values: list[Any], bounds: np.iinfo) -> bool:
    return bounds.min <= min(values) and max(values) <= bounds.max


def _booleans(name: str, values: list[Any]) -> np.ndarray:
    _check_each(name, values, (bool,), "true or false")
    return np.array(values, dtype=bool)


def _texts(name: str, values: list[Any]) -> pd.Series:
    _check_each(name, values, (str, type(None)), "a text")
    return pd.Series(values, dtype=object)


def _times(name: str, values: list[Any]) -> pd.Series:
    """MLflow's datetime has no time zone: one that is given is turned into UTC."""
    _check_each(name, values, (str, type(None)), "a date and time as text (ISO 8601)")
    times: list[Any] = []
    for row, value in enumerate(values):
        try:
            time = pd.Timestamp(value) if value is not None else pd.NaT
            # The type below has the years 1678 to 2261.
            if not (time is pd.NaT or pd.Timestamp.min.year < time.year < pd.Timestamp.max.year):
                raise OverflowError
            times.append(time.tz_convert(None) if time is not pd.NaT and time.tzinfo is not None else time)
        except (ValueError, OverflowError) as error:
            expected = "a date and time (ISO 8601) of the years 1678 to 2261"
            raise _wrong_value(name, row, value, expected) from error
    return pd.Series(times, dtype="datetime64[ns]")


def _binaries(name: str, values: list[Any]) -> pd.Series:
    _check_each(name, values, (str,), "base64 text")
    data: list[bytes] = []
    for row, value in enumerate(values):
        try:
            data.append(base64.b64decode(value, validate=True))
        except ValueError as error:
            raise _wrong_value(name, row, value, "base64 text") from error
    return pd.Series(data, dtype=object)


_CONVERTERS: dict[str | None, Callable[[str, list[Any]], np.ndarray | pd.Series]] = {
    # MLflow's names
    "boolean": _booleans,
    "integer": _integers_of("int32"),
    "long": _integers_of("int64"),
    "float": _floats_of("float32"),
    "double": _floats_of("float64"),
    "string": _texts,
    "datetime": _times,
    "binary": _binaries,
    # numpy's, of tensors with one value a row
    "bool": _booleans,
    **{f"{sign}int{bits}": _integers_of(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{dtype: _floats_of(dtype) for dtype in ("float16", "float32", "float64")},
}


PLAIN_TYPES = frozenset({"boolean", "integer", "long", "float", "double", "string"})
"""MLflow's types of which `to_frame` makes just what MLflow's own check of its input would."""


def _list_with_nearest(names: list[str], candidates: list[str], word: str) -> str:
    among = [candidate for candidate in candidates[:_NEAREST_AMONG] if len(candidate) <= _NAME_SHOWN]
    shown = ", ".join(_with_nearest(name, among, word) for name in names[:_NAMES_SHOWN])
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"column{'s' if len(names) > 1 else ''} {shown}{more}"


def _with_nearest(name: str, candidates: list[str], word: str) -> str:
    if len(name) > _NAME_SHOWN:
        return f"'{name[:_NAME_SHOWN]}…'"
    # They look alike, and nobody would see what is wrong.
    normal = unicodedata.normalize("NFKC", name)
    if any(unicodedata.normalize("NFKC", candidate) == normal for candidate in candidates):
        return f"'{name}' ({word} in another Unicode normal form)"
    nearest = nearest_names(name, candidates)
    return f"'{name}' (nearest {word}: '{nearest[0]}')" if nearest else f"'{name}'"


def _describe(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text '{value[:_TEXT_SHOWN]}{'…' if len(value) > _TEXT_SHOWN else ''}'"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return str(value)[:_TEXT_SHOWN]
