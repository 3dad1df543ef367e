"""Feast's encodings of entity keys and values, for whole columns at once."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from feast.infra.key_encoding_utils import serialize_entity_key_prefix
from feast.protos.feast.types.Value_pb2 import Value
from feast.protos.feast.types.Value_pb2 import ValueType as ProtoType
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

from asgard_feast.errors import BridgeError

_ARROW_TYPES = {
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "BOOL": pa.bool_(),
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "UNIX_TIMESTAMP": pa.timestamp("s"),
    "ZONED_TIMESTAMP": pa.timestamp("s"),
}
_VALUES: dict[str, Callable[[Any], Value]] = {
    "INT32": lambda value: Value(int32_val=value),
    "INT64": lambda value: Value(int64_val=value),
    "FLOAT": lambda value: Value(float_val=value),
    "DOUBLE": lambda value: Value(double_val=value),
    "BOOL": lambda value: Value(bool_val=value),
    "STRING": lambda value: Value(string_val=value),
    "BYTES": lambda value: Value(bytes_val=value),
    "UNIX_TIMESTAMP": lambda value: Value(unix_timestamp_val=value),
    # All of Iceberg's times with a zone are in UTC.
    "ZONED_TIMESTAMP": lambda value: Value(zoned_timestamp_val={"unix_timestamp": value, "zone": "UTC"}),
}
"""The scalars: four times as fast as Feast's own conversion, which looks at each value's Python type."""
_NULL_IN_LIST: dict[str, Any] = {
    "INT32": 0,
    "INT64": 0,
    "FLOAT": math.nan,
    "DOUBLE": math.nan,
    "BOOL": False,
    "STRING": "",
    "BYTES": b"",
    "UNIX_TIMESTAMP": -(2**63),
}
"""What Feast has in place of a null within a list, as its lists hold none. It reads the last one as null."""
_NULL = b""
"""Of an empty Value, which is how Feast stores a null."""
_WITH_TEXT = frozenset(["INT32", "INT64", "FLOAT", "DOUBLE", "BOOL", "STRING"])
"""Whose text Feast keeps beside the value, for its search in documents."""


def values_of(column: pa.Array, kind: str, what: str) -> tuple[list[bytes], list[str | None]]:
    """A column's values as Feast's engine stores them: serialized, and as the text beside that.

    Nulls and NaN are both Feast's null. Raises BridgeError CONFLICT, which names the column as `what`, for a value that
    its declared type does not hold.
    """
    if kind not in _VALUES:
        element = kind.removesuffix("_LIST")
        made = _by_feast(column, kind, what) if element not in _NULL_IN_LIST else _lists(column, element, what)
        return made, [None] * len(column)
    values = _cast(column, kind, what)
    make = _VALUES[kind]
    # NaN alone differs from itself.
    serialized = [_NULL if value is None or value != value else make(value).SerializeToString() for value in values]
    if kind not in _WITH_TEXT:
        return serialized, [None] * len(column)
    texts = [str(value) if data and value is not None else None for value, data in zip(values, serialized, strict=True)]
    # PostgreSQL's text holds no NUL.
    return serialized, [None if text is None or "\x00" in text else text for text in texts]


def _lists(column: pa.Array, element: str, what: str) -> list[bytes]:
    field, null = f"{element.lower()}_list_val", _NULL_IN_LIST[element]
    return [
        _NULL
        if members is None
        else Value(**{field: {"val": [null if member is None else member for member in members]}}).SerializeToString()
        for members in _cast(column, element, what)
    ]


def _by_feast(column: pa.Array, kind: str, what: str) -> list[bytes]:
    try:
        protos = python_values_to_proto_values(column.to_pylist(), ValueType[kind])
    except Exception as error:  # as Feast raises what comes, asserts and bare exceptions included
        message = f"{what} holds a value of which Feast makes no {kind}: {error or type(error).__name__}"
        raise BridgeError("CONFLICT", message) from error
    return [proto.SerializeToString() for proto in protos]


def entity_keys_of(columns: Sequence[pa.Array], join_keys: Sequence[tuple[str, str]]) -> list[bytes]:
    """The serialized entity key of each row: Feast's serialization of version 3. No column may hold a null."""
    ordered = sorted(zip(join_keys, columns, strict=True), key=lambda pair: pair[0][0])
    prefix = serialize_entity_key_prefix([name for (name, _), _ in ordered], 3)
    parts = [_key_parts(column, kind, name) for (name, kind), column in ordered]
    return [prefix + b"".join(row) for row in zip(*parts, strict=True)]


def _key_parts(column: pa.Array, kind: str, name: str) -> list[bytes]:
    values = _cast(column, kind, f"join key {name}")
    number = ProtoType.Enum.Value(kind)
    if kind == "STRING":
        encoded = [value.encode() for value in values]
        return [struct.pack("<II", number, len(data)) + data for data in encoded]
    if kind == "BYTES":
        return [struct.pack("<II", number, len(data)) + data for data in values]
    pack = struct.Struct("<IIi" if kind == "INT32" else "<IIq").pack
    size = 4 if kind == "INT32" else 8
    return [pack(number, size, value) for value in values]


def _cast(column: pa.Array, kind: str, what: str) -> list[Any]:
    """The values, or lists of values, as Python has them; times are whole seconds, as Feast keeps them."""
    is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    target, seconds = _ARROW_TYPES[kind], pa.int64()
    if is_list:
        target, seconds = pa.list_(target), pa.list_(seconds)
    elif kind == "STRING" and not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return [None if value is None else str(value) for value in column.to_pylist()]
    is_rounded = kind in ("FLOAT", "DOUBLE", "UNIX_TIMESTAMP", "ZONED_TIMESTAMP")
    try:
        cast = column.cast(target, safe=not is_rounded)
        return (cast.cast(seconds) if kind.endswith("TIMESTAMP") else cast).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BridgeError("CONFLICT", f"{what} holds a value that is no {kind}: {error}") from error
