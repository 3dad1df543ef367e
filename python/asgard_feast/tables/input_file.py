"""A file whose rows shall go into a table."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from asgard_feast.errors import Issue, invalid_input
from asgard_feast.tables.cells import refused, shown
from asgard_feast.tables.column_types import NAMED, parse_type

MAX_COLUMNS = 2000
MAX_NAME = 200


class TableInput(Protocol):
    """A file that has been looked through: that it is whole, what its columns are called, what can be in them."""

    @property
    def columns(self) -> list[str]:
        """Their names, in the file's order."""
        ...

    @property
    def rows(self) -> int:
        """How many there are."""
        ...

    def type_of(self, column: str, current: pa.DataType | None) -> pa.DataType | None:
        """The type of the column in a table where it is `current` now; None when the file does not tell."""
        ...

    def check(self, column: str, kind: pa.DataType) -> str | None:
        """Why this column cannot go into one of a type; None when its values are still to be seen."""
        ...

    def batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows, with the columns and types of `schema`. Raises BridgeError INVALID_INPUT at a cell that is bad."""
        ...


def open_input(path: Path, media_type: str) -> TableInput:
    """Looks through a CSV or Parquet file. Raises BridgeError INVALID_INPUT naming what is wrong with it, and where."""
    if media_type == "text/csv":
        from asgard_feast.tables.csv_input import CsvInput

        return CsvInput(path)
    from asgard_feast.tables.parquet_input import ParquetInput

    return ParquetInput(path)


def check_columns(names: list[str]) -> None:
    """Raises BridgeError INVALID_INPUT when these names cannot be those of a table's columns.

    They must differ also when case does not count: queries do not tell `Age` from `age`.
    """
    if not 1 <= len(names) <= MAX_COLUMNS:
        raise invalid_input([], f"the file has {len(names)} columns; a table has 1 to {MAX_COLUMNS}")
    issues: list[Issue] = []
    seen: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        message = _name_problem(name)
        if message is None and name.casefold() in seen:
            message = f"is the name of column {seen[name.casefold()]} too; each needs a name of its own"
        seen.setdefault(name.casefold(), number)
        if message is not None:
            text = f"column {number}, {shown(name)}: {message}"
            issues.append({"path": ["columns", number], "message": text, "type": "value_error"})
    if issues:
        raise refused(issues[:100])


def _name_problem(name: str) -> str | None:
    if name == "":
        return "has no name in the header"
    if name.strip() != name:
        return "must not begin or end with white space"
    if len(name) > MAX_NAME:
        return f"must have at most {MAX_NAME} characters"
    if any(unicodedata.category(character) == "Cs" for character in name):
        return "is not UTF-8"
    if "." in name or any(unicodedata.category(character) == "Cc" for character in name):
        return "must not hold a dot or a control character"
    return None


def given_types(types: Mapping[str, str], columns: list[str]) -> dict[str, pa.DataType]:
    """The types that the caller gives, as `{"age": "long"}`. Raises BridgeError INVALID_INPUT for an unknown one."""
    given: dict[str, pa.DataType] = {}
    issues: list[Issue] = []
    for column, name in types.items():
        kind = parse_type(name)
        if column not in columns:
            message = f"the file has no column {shown(column)}; it has {', '.join(columns[:20])}"
        elif kind is None:
            message = f"{shown(name)} is no type; there is {', '.join(NAMED)} and decimal(precision, scale)"
        else:
            given[column] = kind
            continue
        issues.append({"path": ["types", column], "message": message, "type": "value_error"})
    if issues:
        raise refused(issues[:100])
    return given
