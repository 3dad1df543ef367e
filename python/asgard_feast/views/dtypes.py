"""The types that a feature can be declared with, and which Iceberg types they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
)

if TYPE_CHECKING:
    from feast.types import FeastType

_ARRAY = "array_"


class Limits(NamedTuple):
    """The least and the largest value that a type holds as it is."""

    least: float
    largest: float


_INT32 = Limits(-(2**31), 2**31 - 1)
# Whole numbers beyond these are rounded.
_WHOLE_IN_FLOAT32 = Limits(-(2**24), 2**24)
_WHOLE_IN_FLOAT64 = Limits(-(2**53), 2**53)
_FLOAT32 = Limits(-3.4028234663852886e38, 3.4028234663852886e38)

_HELD: dict[str, dict[type[IcebergType], Limits | None]] = {
    "int32": {IntegerType: None, LongType: _INT32},
    "int64": {IntegerType: None, LongType: None},
    "float32": {FloatType: None, DoubleType: _FLOAT32, IntegerType: _WHOLE_IN_FLOAT32, LongType: _WHOLE_IN_FLOAT32},
    "float64": {
        FloatType: None,
        DoubleType: None,
        DecimalType: None,
        IntegerType: None,
        LongType: _WHOLE_IN_FLOAT64,
    },
    "string": {StringType: None},
    "bytes": {BinaryType: None, FixedType: None},
    "bool": {BooleanType: None},
    "unix_timestamp": {TimestampType: None, TimestamptzType: None},
}
"""For each type the Iceberg types that it holds: all values of them, or those within limits."""


def holds(dtype: str, column: IcebergType) -> bool:
    """Whether a column of this type can be declared so, its values permitting. Of a type that is none of ours: no."""
    element, element_type = _element(dtype, column)
    return element_type is not None and type(element_type) in _HELD.get(element, {})


def limits(dtype: str, column: IcebergType) -> Limits | None:
    """What the values of a column (or of its lists) must be within to be declared so; None when any of them is held."""
    element, element_type = _element(dtype, column)
    return _HELD[element].get(type(element_type))


def dtypes_of(column: IcebergType) -> list[str]:
    """The types that any column of this Iceberg type can be declared with, the plainest first."""
    element_type = column.element_type if isinstance(column, ListType) else column
    prefix = _ARRAY if isinstance(column, ListType) else ""
    return [f"{prefix}{name}" for name, held in _HELD.items() if held.get(type(element_type), ...) is None]


def _element(dtype: str, column: IcebergType) -> tuple[str, IcebergType | None]:
    """A type without its `array_`, and the type of a column's elements; None for it when only one of them is a list."""
    is_array = dtype.startswith(_ARRAY)
    if is_array != isinstance(column, ListType):
        return dtype.removeprefix(_ARRAY), None
    return dtype.removeprefix(_ARRAY), column.element_type if isinstance(column, ListType) else column


def to_feast(dtype: str) -> FeastType:
    """Feast's own type of this name."""
    from feast import types

    feast_types = {
        "int32": types.Int32,
        "int64": types.Int64,
        "float32": types.Float32,
        "float64": types.Float64,
        "string": types.String,
        "bytes": types.Bytes,
        "bool": types.Bool,
        "unix_timestamp": types.UnixTimestamp,
    }
    element = feast_types[dtype.removeprefix(_ARRAY)]
    return types.Array(element) if dtype.startswith(_ARRAY) else element


def from_feast(dtype: FeastType) -> str:
    """The name of Feast's type; in Feast's own words when it is none of ours, as another client may have written it."""
    names = {to_feast(prefix + name): prefix + name for prefix in ("", _ARRAY) for name in _HELD}
    return names.get(dtype, str(dtype).lower())
