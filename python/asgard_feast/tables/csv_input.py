"""Rows from a CSV file: RFC 4180, in UTF-8, with a header, separated by commas.

An empty field without quotes is no value; with quotes it is an empty string. Line ends may be of any kind, also within
quotes, and empty lines count for nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from asgard_feast.errors import BridgeError, Issue, invalid_input
from asgard_feast.tables.cells import cell_issue, first_bad, refused, shown
from asgard_feast.tables.column_names import check_columns
from asgard_feast.tables.csv_values import Guess, parse, problem

BLOCK_BYTES = 4 * 1024 * 1024
"""As much of the file is in memory at once, some times over. No row can be longer."""


class CsvInput:
    """A CSV file. It is read twice: once to see its types, once to take its rows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.columns, has_rows = _header(path)
        check_columns(self.columns)
        self._guesses = {column: Guess() for column in self.columns}
        self.rows = 0
        _check_quotes(path)
        for batch in self._texts() if has_rows else ():
            self.rows += batch.num_rows
            for column, guess in self._guesses.items():
                guess.see(batch.column(column))

    def type_of(self, column: str, current: pa.DataType | None) -> pa.DataType | None:
        """What all texts of the column are."""
        return self._guesses[column].type(current) if self.rows > 0 else current

    def check(self, column: str, kind: pa.DataType) -> str | None:
        """A text has no parts."""
        if pa.types.is_nested(kind) or pa.types.is_binary(kind):
            return f"CSV has no way to write {kind}; send Parquet"
        return None

    def batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows, parsed."""
        row = 1
        for texts in self._texts() if self.rows > 0 else ():
            yield _parsed(texts, schema, row)
            row += texts.num_rows

    def _texts(self) -> Iterator[pa.RecordBatch]:
        ragged: list[arrow_csv.InvalidRow] = []

        def note(row: arrow_csv.InvalidRow) -> str:
            ragged.append(row)
            return "error"

        first = 1
        try:
            with arrow_csv.open_csv(
                self._path,
                # In this thread: rows that are ragged have no numbers otherwise.
                read_options=arrow_csv.ReadOptions(
                    column_names=self.columns, skip_rows_after_names=1, block_size=BLOCK_BYTES, use_threads=False
                ),
                parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(self.columns, pa.binary()),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    null_values=[""],
                ),
            ) as reader:
                for batch in reader:
                    yield _decoded(batch, first)
                    first += batch.num_rows
        except pa.ArrowInvalid as error:
            raise _unreadable(error, ragged, len(self.columns), first) from error


def _header(path: Path) -> tuple[list[str], bool]:
    """The names of the columns, and whether anything follows them."""
    with path.open("rb") as file:
        start = file.read(2)
    if start in (b"\xff\xfe", b"\xfe\xff"):
        raise invalid_input([], "the file is UTF-16: send it in UTF-8")
    # What is no UTF-8 is found with its column or its row.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        try:
            names = next(reader, None)
        except csv.Error as error:
            raise invalid_input([], f"the header cannot be read as CSV: {error}") from error
        if not names:
            raise invalid_input([], "the first line is empty: it must name the columns, with commas between them")
        try:
            has_rows = any(reader)
        except csv.Error:
            has_rows = True
    return names, has_rows


def _check_quotes(path: Path) -> None:
    """A quote that is not closed would make one field of all that follows."""
    with path.open("rb") as file:
        quotes = sum(block.count(b'"') for block in iter(lambda: file.read(BLOCK_BYTES), b""))
    if quotes % 2 == 1:
        message = "the file has an odd number of quotes: one is not closed, or must be written twice and within quotes"
        raise invalid_input([], message)


def _decoded(batch: pa.RecordBatch, first_row: int) -> pa.RecordBatch:
    """A batch of texts. Raises BridgeError INVALID_INPUT for bytes that are no UTF-8."""

    def decode(values: pa.Array) -> pa.Array:
        return values.cast(pa.string())

    columns: list[pa.Array] = []
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        try:
            columns.append(decode(values))
        except pa.ArrowInvalid as error:
            index = first_bad(values, decode)
            text = values[index].as_py().decode("utf-8", "backslashreplace")
            raise refused([cell_issue(first_row + index, name, f"{shown(text)} is not UTF-8")]) from error
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _parsed(texts: pa.RecordBatch, schema: pa.Schema, first_row: int) -> pa.RecordBatch:
    columns: list[pa.Array] = []
    issues: list[Issue] = []
    for field in schema:
        values = texts.column(field.name)
        try:
            columns.append(parse(values, field.type))
        except pa.ArrowInvalid:
            index = first_bad(values, lambda part, kind=field.type: parse(part, kind))
            text = values[index].as_py()
            issues.append(cell_issue(first_row + index, field.name, f"{shown(text)} {problem(text, field.type)}"))
    if issues:
        raise refused(issues)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _unreadable(
    error: pa.ArrowInvalid, ragged: list[arrow_csv.InvalidRow], columns: int, first_row: int
) -> BridgeError:
    if ragged:
        # Arrow counts the header.
        number, fields = (ragged[0].number or first_row + 1) - 1, ragged[0].actual_columns
        what = f"row {number} has {fields} fields, the header has {columns}: {shown(ragged[0].text)}"
        return refused([{"path": [number], "message": what, "type": "value_error"}])
    if "straddling" in str(error):
        size = BLOCK_BYTES // 1024 // 1024
        what = f"a row at or after row {first_row} is longer than {size} MiB: perhaps a quote in it is not closed"
        return refused([{"path": [first_row], "message": what, "type": "value_error"}])
    return invalid_input([first_row], f"the file cannot be read as CSV from row {first_row} on: {error}")
