"""A file whose rows shall go into a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from asgard_feast.errors import Issue
from asgard_feast.tables.cells import refused, shown
from asgard_feast.tables.column_types import NAMED, parse_type
from asgard_feast.tables.csv_input import CsvInput
from asgard_feast.tables.parquet_input import ParquetInput


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
    return CsvInput(path) if media_type == "text/csv" else ParquetInput(path)


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
