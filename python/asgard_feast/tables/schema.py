"""The columns that a table gets or has to have, and how it comes to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from asgard.nearest import nearest_names
from asgard_feast.errors import Issue, invalid_input
from asgard_feast.tables.cells import column_issue, refused, shown
from asgard_feast.tables.column_types import holds, table_type, type_name
from asgard_feast.tables.input_file import TableInput, given_types

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table.update.schema import UpdateSchema
    from pyiceberg.types import IcebergType

MAX_ISSUES = 100


def replacing(source: TableInput, types: dict[str, str], current: Schema | None) -> pa.Schema:
    """The columns of a table whose content a file shall be: the file's.

    Of a column that the table has its type stays where all values fit it, so that what reads the table can go on.
    """
    given = given_types(types, source.columns)
    held = {} if current is None else arrow_types(current)
    wanted: dict[str, pa.DataType] = {}
    issues: list[Issue] = []
    for column in source.columns:
        kind = given.get(column) or source.type_of(column, held.get(column))
        message = "has no rows to tell its type by: give it" if kind is None else source.check(column, kind)
        if kind is None or message is not None:
            issues.append(column_issue(column, message or ""))
        else:
            wanted[column] = kind
    if issues:
        raise refused(issues[:MAX_ISSUES])
    return pa.schema(wanted)


def appending(source: TableInput, types: dict[str, str], current: Schema) -> pa.Schema:
    """The columns of a table that a file's rows are added to, each of which the file must have."""
    held = arrow_types(current)
    names = [field.name for field in current.fields]
    issues: list[Issue] = []
    for column in [column for column in source.columns if column not in names][:MAX_ISSUES]:
        near = nearest_names(column, names)
        hint = f"perhaps {shown(near[0])} is meant" if near else f"it has {', '.join(names[:20])}"
        issues.append(column_issue(column, f"the table has no such column; {hint}"))
    for column, kind in given_types(types, source.columns).items():
        if column in held and held[column] != kind:
            issues.append(column_issue(column, f"is {_name(held[column])} in the table, not {type_name(kind)}"))
    for field in current.fields:
        kind = held.get(field.name)
        if field.name not in source.columns:
            message = "the file lacks it, which the table has; leave its fields empty for rows without a value"
        elif kind is None:
            message = f"is {field.field_type} in the table, which files of rows cannot be written to"
        else:
            message = source.check(field.name, kind)
        if message is not None:
            issues.append(column_issue(field.name, message))
    if issues:
        raise refused(issues[:MAX_ISSUES])
    if source.rows == 0:
        raise invalid_input([], "the file has no rows to add")
    return pa.schema([(name, kind) for name, kind in held.items()])


def arrow_types(schema: Schema) -> dict[str, pa.DataType]:
    """The types of a table's columns, of those that can be written."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    types = {field.name: table_type(schema_to_pyarrow(field.field_type)) for field in schema.fields}
    return {name: kind for name, kind in types.items() if kind is not None}


def evolve(update: UpdateSchema, current: Schema, wanted: pa.Schema) -> None:
    """Gives a table the wanted columns: a type is widened where Iceberg can, else the column is a new one of its name.

    Columns that stay keep their place, new ones come behind them.
    """
    held = arrow_types(current)
    types = iceberg_types(wanted)
    for field in current.fields:
        kind = wanted.field(field.name).type if field.name in types else None
        if kind is None or not _promotes(held.get(field.name), kind):
            update.delete_column((field.name,))
        elif held[field.name] != kind:
            update.update_column((field.name,), types.pop(field.name))
        else:
            types.pop(field.name)
    for name, kind in types.items():
        update.add_column((name,), kind)


def iceberg_types(schema: pa.Schema) -> dict[str, IcebergType]:
    """Iceberg's types of columns, without ids of their own."""
    # What pyiceberg's own `union_by_name` makes of a schema of Arrow's, which cannot give a column another type.
    from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids

    return {field.name: field.field_type for field in _pyarrow_to_schema_without_ids(schema).fields}


def _promotes(held: pa.DataType | None, kind: pa.DataType) -> bool:
    """Whether a column's files can be read as another type, by Iceberg's rules: whole numbers not as doubles."""
    if held is None or held == kind:
        return held is not None
    return holds(kind, held) and (pa.types.is_integer(kind) or not pa.types.is_integer(held))


def _name(kind: pa.DataType | None) -> str:
    return "another type" if kind is None else type_name(kind)
