"""The types of columns: as files have them, as tables can have them, and their names."""

from __future__ import annotations

import re

import pyarrow as pa

TIMESTAMP = pa.timestamp("us")
TIMESTAMPTZ = pa.timestamp("us", "UTC")

NAMED: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": TIMESTAMP,
    "timestamptz": TIMESTAMPTZ,
    "string": pa.string(),
}
"""Iceberg's names of what a caller can ask for, beside `decimal(precision, scale)`."""

_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_MAX_DEPTH = 10


def parse_type(name: str) -> pa.DataType | None:
    """The type that a caller names, such as `long` or `decimal(10, 2)`; None when there is none of that name."""
    decimal = _DECIMAL.fullmatch(name)
    if decimal is None:
        return NAMED.get(name)
    precision, scale = int(decimal[1]), int(decimal[2])
    return pa.decimal128(precision, scale) if 1 <= precision <= 38 and scale <= precision else None


def type_name(kind: pa.DataType) -> str:
    """Iceberg's name of a type, else Arrow's."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    return next((name for name, named in NAMED.items() if named == kind), str(kind))


def table_type(kind: pa.DataType, depth: int = 0) -> pa.DataType | None:
    """The type of a table's column that holds what a file's column of this type does; None when a table has none.

    Integers become int or long, times of any unit microseconds, dictionaries what they stand for.
    """
    types = pa.types
    if depth > _MAX_DEPTH:
        return None
    if types.is_dictionary(kind):
        return table_type(kind.value_type, depth + 1)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        element = table_type(kind.value_type, depth + 1)
        return None if element is None else pa.list_(element)
    if types.is_map(kind):
        key, item = table_type(kind.key_type, depth + 1), table_type(kind.item_type, depth + 1)
        return None if key is None or item is None else pa.map_(key, item)
    if types.is_struct(kind):
        fields = [(field.name, table_type(field.type, depth + 1)) for field in kind]
        return None if not fields or any(field is None for _, field in fields) else pa.struct(fields)
    return _plain_type(kind)


def _plain_type(kind: pa.DataType) -> pa.DataType | None:
    types = pa.types
    if types.is_null(kind) or types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_integer(kind):
        return pa.int64() if kind.bit_width == 64 or kind == pa.uint32() else pa.int32()
    if types.is_floating(kind):
        return pa.float64() if kind == pa.float64() else pa.float32()
    if types.is_timestamp(kind):
        return TIMESTAMP if kind.tz is None else TIMESTAMPTZ
    if types.is_decimal(kind) and 1 <= kind.precision <= 38 and 0 <= kind.scale <= kind.precision:
        return pa.decimal128(kind.precision, kind.scale)
    if types.is_boolean(kind):
        return pa.bool_()
    if types.is_date(kind):
        return pa.date32()
    if types.is_time(kind):
        return pa.time64("us")
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return pa.binary()
    return None


def holds(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Whether a column of one type holds all values of another as they are. Of a long in a double each is checked."""
    if wide == narrow:
        return True
    if wide == pa.float64():
        return narrow in (pa.int32(), pa.int64(), pa.float32())
    if wide == pa.int64():
        return narrow == pa.int32()
    if pa.types.is_decimal(wide) and pa.types.is_decimal(narrow):
        return wide.scale == narrow.scale and wide.precision >= narrow.precision
    return False


def can_become(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether values of one type may be written as another where that was asked for: each is checked, but for rounding.

    A time without a zone is one of UTC, as Feast has it.
    """
    narrower = {(pa.int64(), pa.int32()), (pa.float64(), pa.float32()), (TIMESTAMP, TIMESTAMPTZ)}
    decimals = pa.types.is_decimal(source) and pa.types.is_decimal(target)
    return holds(target, source) or (source, target) in narrower or decimals
