"""Rows from a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asgard_feast.errors import BridgeError, Issue, invalid_input
from asgard_feast.tables.cells import cell_issue, column_issue, first_bad, refused, shown
from asgard_feast.tables.column_names import check_columns
from asgard_feast.tables.column_types import can_become, holds, table_type, type_name

MAX_ROWS = 200_000_000
MAX_BYTES = 16 * 2**30
"""Of what comes out of the file: a few bytes of Parquet can stand for any number of rows."""
VALUE_BYTES = 8
BATCH_BYTES = 32 * 2**20
BATCH_ROWS = 65_536


class ParquetInput:
    """A Parquet file, of which a batch of rows is in memory at once."""

    def __init__(self, path: Path) -> None:
        try:
            schema = pq.read_schema(path)
            # Texts as dictionaries, as they may be in the file: one of a megabyte may stand in every row.
            texts = [field.name for field in schema if table_type(field.type) in (pa.string(), pa.binary())]
            self._file = pq.ParquetFile(path, read_dictionary=texts)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(error) from error
        self.rows: int = self._file.metadata.num_rows
        self.columns: list[str] = schema.names
        check_columns(self.columns)
        size = _unfolded(self._file.metadata)
        if self.rows > MAX_ROWS or size > MAX_BYTES:
            raise _too_large(self.rows, size)
        self._batch_rows = max(1, min(BATCH_ROWS, BATCH_BYTES * self.rows // max(size, 1)))
        self._types = _types(schema)
        self._empty = {field.name for field in schema if pa.types.is_null(field.type)}

    def type_of(self, column: str, current: pa.DataType | None) -> pa.DataType | None:
        """The type that the file gives, or the one that the table has where that holds it."""
        kind = self._types[column]
        return current if current is not None and (column in self._empty or holds(current, kind)) else kind

    def check(self, column: str, kind: pa.DataType) -> str | None:
        """Types must fit before values are looked at."""
        own = self._types[column]
        if column in self._empty or can_become(own, kind):
            return None
        return f"is {type_name(own)} in the file and cannot become {type_name(kind)}"

    def batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows, in the types asked for."""
        row, size = 1, 0
        try:
            for batch in self._file.iter_batches(self._batch_rows):
                for part in _parts(batch):
                    converted = _converted(part, schema, row)
                    size += converted.nbytes
                    if size > MAX_BYTES:
                        raise _too_large(self.rows, size)
                    yield converted
                    row += part.num_rows
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(error) from error
        if row - 1 != self.rows:
            raise invalid_input([], f"the file says that it has {self.rows} rows and has {row - 1}")


def _unfolded(metadata: pq.FileMetaData) -> int:
    """About how many bytes the values are in memory, texts aside: a value that is repeated takes none in the file."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    values = sum(group.column(index).num_values for group in groups for index in range(group.num_columns))
    return max(VALUE_BYTES * values, sum(group.total_byte_size for group in groups))


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in parts that are not too large when their texts stand in each row."""
    lengths = [
        pc.max(pc.binary_length(column.dictionary)).as_py() or 0
        for column in batch.columns
        if pa.types.is_dictionary(column.type) and table_type(column.type) in (pa.string(), pa.binary())
    ]
    rows = max(1, min(batch.num_rows, BATCH_BYTES // max(1, sum(lengths))))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _too_large(rows: int, size: int) -> BridgeError:
    limits = f"at most {MAX_ROWS} rows and {MAX_BYTES // 2**30} GiB are taken"
    return invalid_input(
        [], f"the file unfolds to {rows} rows and {size} bytes; {limits}: send it in parts", "too_large"
    )


def _types(schema: pa.Schema) -> dict[str, pa.DataType]:
    types = {field.name: table_type(field.type) for field in schema}
    issues = [
        column_issue(name, f"a table has no type for {schema.field(name).type}")
        for name, kind in types.items()
        if kind is None
    ]
    if issues:
        raise refused(issues[:100])
    return {name: kind for name, kind in types.items() if kind is not None}


def _converted(batch: pa.RecordBatch, schema: pa.Schema, first_row: int) -> pa.RecordBatch:
    columns: list[pa.Array] = []
    issues: list[Issue] = []
    for field in schema:
        values = batch.column(field.name)

        def convert(part: pa.Array, kind: pa.DataType = field.type) -> pa.Array:
            return part.cast(kind)

        try:
            columns.append(convert(values))
        except pa.ArrowInvalid:
            index = first_bad(values, convert)
            value = values[index].as_py()
            issues.append(cell_issue(first_row + index, field.name, _problem(value, values.type, field.type)))
    if issues:
        raise refused(issues)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _problem(value: object, source: pa.DataType, target: pa.DataType) -> str:
    if pa.types.is_timestamp(source):
        return f"{shown(value)} is finer than microseconds: round it, a table keeps no more"
    return f"{shown(value)} does not fit {type_name(target)}"


def _unreadable(error: Exception) -> BridgeError:
    reason = str(error).split("\n", 1)[0].removesuffix(".")
    return invalid_input([], f"the file cannot be read as Parquet: {reason}")
