"""Whether a feature view fits the table that it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from pyiceberg.table import Table
from pyiceberg.types import (
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
)

from asgard.nearest import instead_of
from asgard_feast.errors import Issue
from asgard_feast.views.bounds import value_bounds
from asgard_feast.views.definition import Definition, Feature
from asgard_feast.views.dtypes import dtypes_of, holds, limits

ENTITY_DTYPES: dict[type[IcebergType], str] = {IntegerType: "int64", LongType: "int64", StringType: "string"}
"""What an entity's column can be, and the entity's type: one for whole numbers, in which tables may differ."""

_ENTITY_ROW_TIME = "event_timestamp"
"""The column of entity rows with the time that features are asked for."""


def check_against(
    definition: Definition, table: Table, go_on: Callable[[], None]
) -> tuple[Definition, dict[str, str], list[Issue]]:
    """The definition with its timestamp field, the types of its entities, and every mistake in it.

    `go_on` is called between the steps of long work, and may raise.
    """
    columns = {field.name: field for field in table.schema().fields}
    found = list(check_alone(definition))
    found += _entity_issues(definition, columns)
    for index, feature in enumerate(definition.features):
        found += _feature_issues(definition, index, feature, table, columns, go_on)
    timestamp_field, issues = _timestamp_field(definition, columns)
    found += issues
    if definition.created_timestamp_column is not None:
        name = definition.created_timestamp_column
        found += _timestamp_issues(definition, "createdTimestampColumn", name, columns)
        if name == timestamp_field:
            found.append(_issue(["source", "createdTimestampColumn"], f'"{name}" is the time of the row already'))
    types = {name: ENTITY_DTYPES.get(type(columns[name].field_type)) for name in definition.entities if name in columns}
    entities = {name: dtype for name, dtype in types.items() if dtype is not None}
    return replace(definition, timestamp_field=timestamp_field), entities, found


def check_alone(definition: Definition) -> Iterator[Issue]:
    """What can be wrong with a definition whatever the table is: names that are given twice, or to different things."""
    for index in _repeated(definition.entities):
        yield _issue(["entities", index], f'"{definition.entities[index]}" is given twice', "duplicate")
    names = [feature.name for feature in definition.features]
    for index in _repeated(names):
        yield _issue(["features", index, "name"], f'"{names[index]}" is given twice', "duplicate")
    taken = dict.fromkeys(definition.entities, "an entity")
    times = {
        _ENTITY_ROW_TIME: "the time that entity rows ask for",
        definition.created_timestamp_column: "the time at which the row was made",
        definition.timestamp_field: "the time of the row",
    }
    taken |= {name: what for name, what in times.items() if name is not None}
    for index, name in enumerate(names):
        if name in taken:
            yield _issue(["features", index, "name"], f'"{name}" is {taken[name]}, and cannot be a feature too')


def _repeated(names: list[str]) -> list[int]:
    """The positions of names that stand before."""
    count: Counter[str] = Counter()
    positions = []
    for index, name in enumerate(names):
        if count[name]:
            positions.append(index)
        count[name] += 1
    return positions


def _entity_issues(definition: Definition, columns: dict[str, NestedField]) -> Iterator[Issue]:
    for index, name in enumerate(definition.entities):
        column = columns.get(name)
        if column is None:
            yield _no_column(["entities", index], definition, name, columns)
        elif type(column.field_type) not in ENTITY_DTYPES:
            possible = [each.name for each in columns.values() if type(each.field_type) in ENTITY_DTYPES]
            yield _issue(
                ["entities", index],
                f'the column "{name}" is {column.field_type}, and an entity is int, long or string; '
                f"{definition.table_name} has {', '.join(possible[:20]) or 'no such column'}",
                "type_error",
            )


def _feature_issues(
    definition: Definition,
    index: int,
    feature: Feature,
    table: Table,
    columns: dict[str, NestedField],
    go_on: Callable[[], None],
) -> Iterator[Issue]:
    column = columns.get(feature.name)
    if column is None:
        yield _no_column(["features", index, "name"], definition, feature.name, columns)
        return
    path: list[str | int] = ["features", index, "dtype"]
    what = f'the column "{feature.name}" is {column.field_type}'
    possible = dtypes_of(column.field_type)
    instead = f"declare {' or '.join(possible)}" if possible else "no type of feature holds that"
    if not holds(feature.dtype, column.field_type):
        yield _issue(path, f"{what}, which {feature.dtype} does not hold: {instead}", "type_error")
        return
    within = limits(feature.dtype, column.field_type)
    if within is None:
        return
    bounds = value_bounds(table, column, within, go_on)
    if bounds is None:
        return
    if bounds.largest > within.largest:
        reach = f"values up to {bounds.largest}, and {feature.dtype} holds only up to {within.largest}"
    elif bounds.least < within.least:
        reach = f"values down to {bounds.least}, and {feature.dtype} holds only down to {within.least}"
    else:
        return
    message = f"{what} with {reach} exactly: {instead}"
    yield _issue(path, message, "out_of_range")


def _timestamp_field(definition: Definition, columns: dict[str, NestedField]) -> tuple[str | None, list[Issue]]:
    """The column with the time of a row: as given, else the only one that can be."""
    if definition.timestamp_field is not None:
        name = definition.timestamp_field
        return name, list(_timestamp_issues(definition, "timestampField", name, columns))
    taken = {feature.name for feature in definition.features} | {definition.created_timestamp_column}
    possible = [name for name in _timestamps(columns) if name not in taken]
    if len(possible) == 1:
        return possible[0], []
    found = f"several columns of {definition.table_name} can be it: {', '.join(possible[:20])}"
    none = f"no column of {definition.table_name} is a timestamp; it has {_listed(columns)}"
    message = (
        f"say which column has the time of a row: {found}" if possible else f"a time for each row is needed: {none}"
    )
    return None, [_issue(["source", "timestampField"], message, "missing")]


def _timestamp_issues(
    definition: Definition, field: str, name: str, columns: dict[str, NestedField]
) -> Iterator[Issue]:
    column = columns.get(name)
    if column is None:
        yield _no_column(["source", field], definition, name, columns)
    elif not is_timestamp(column.field_type):
        possible = _timestamps(columns)
        instead = f"{definition.table_name} has {', '.join(possible[:20]) or 'no such column'}"
        message = f'the column "{name}" is {column.field_type}, and must be timestamp or timestamptz; {instead}'
        yield _issue(["source", field], message, "type_error")


def is_timestamp(column: IcebergType) -> bool:
    """Whether a column of this type can be the time of a row."""
    return isinstance(column, (TimestampType, TimestamptzType))


def _timestamps(columns: dict[str, NestedField]) -> list[str]:
    return [name for name, column in columns.items() if is_timestamp(column.field_type)]


def _no_column(path: list[str | int], definition: Definition, name: str, columns: dict[str, NestedField]) -> Issue:
    message = f'{definition.table_name} has no column "{name}"; {instead_of(name, list(columns))}'
    return _issue(path, message, "not_found")


def _listed(columns: dict[str, NestedField]) -> str:
    shown = [f"{name} ({column.field_type})" for name, column in columns.items()]
    return ", ".join(shown[:20] + ["…"] * (len(shown) > 20))


def _issue(path: list[str | int], message: str, kind: str = "value_error") -> Issue:
    return {"path": path, "message": message, "type": kind}
