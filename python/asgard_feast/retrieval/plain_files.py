"""Parquet files that hold a table's columns as they are: without deletes, and of the schema that is asked for.

pyiceberg reads any file, but whole ones (0.12: `ArrowScan.to_record_batches`). These are most of the files of most
tables, and are read row group by row group in constant memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pyarrow.types as pt
from pyiceberg.io import FileIO
from pyiceberg.manifest import FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask

_BATCH_ROWS = 32_768
_BUFFER_BYTES = 256 * 1024
_REMOTE_BUFFER_BYTES = 4 * 1024 * 1024
"""Of each column. Every filling of it is a request of its own to an object store."""
_FIELD_ID = b"PARQUET:field_id"


class PlainFile:
    """Such a file, open."""

    def __init__(self, file: pa.NativeFile, parquet: pq.ParquetFile, names: list[str], schema: pa.Schema) -> None:
        self._file = file
        self._parquet = parquet
        self._names = names
        self._schema = schema

    @staticmethod
    def open(io: FileIO, task: FileScanTask, fields: Schema, schema: pa.Schema) -> PlainFile | None:
        """The file of a task, or None when it is not such a file. `schema`: Arrow's of `fields`, in the same order."""
        if task.file.file_format != FileFormat.PARQUET or task.delete_files:
            return None
        file = io.new_input(task.file.file_path).open()
        try:
            is_local = task.file.file_path.startswith(("/", "file:"))
            buffer_size = _BUFFER_BYTES if is_local else _REMOTE_BUFFER_BYTES
            parquet = pq.ParquetFile(file, buffer_size=buffer_size, pre_buffer=False)
            by_id = {_field_id(field): field for field in parquet.schema_arrow}
            found = [by_id.get(field.field_id) for field in fields.fields]
            if all(f is not None and _is_same(f.type, e.type) for f, e in zip(found, schema, strict=True)):
                return PlainFile(file, parquet, [field.name for field in found if field is not None], schema)
        except BaseException:
            file.close()
            raise
        file.close()
        return None

    def batches(self, time_field_id: int, first: datetime | None, last: datetime | None) -> Iterator[pa.RecordBatch]:
        """The rows of those row groups that may have some in the range, in their order."""
        groups = self._row_groups(time_field_id, first, last)
        # A thread for each column wins nothing with so few rows (ten million of five columns: 0.6 s), and costs memory.
        for batch in self._parquet.iter_batches(_BATCH_ROWS, groups, self._names, use_threads=False):
            yield pa.RecordBatch.from_arrays(
                [batch.column(name).cast(field.type) for name, field in zip(self._names, self._schema, strict=True)],
                schema=self._schema,
            )

    def _row_groups(self, time_field_id: int, first: datetime | None, last: datetime | None) -> list[int]:
        field = next((f for f in self._parquet.schema_arrow if _field_id(f) == time_field_id), None)
        everything = list(range(self._parquet.num_row_groups))
        if field is None or not pt.is_timestamp(field.type):
            return everything
        in_range = pc.scalar(True)
        for bound, compare in ((first, pc.greater_equal), (last, pc.less_equal)):
            if bound is not None:
                moment = pa.scalar(bound if field.type.tz else bound.replace(tzinfo=None), field.type)
                in_range = in_range & compare(pc.field(field.name), moment)
        fragment = ds.ParquetFileFormat().make_fragment(self._file).subset(in_range)
        return [group.id for group in fragment.row_groups]

    def __enter__(self) -> PlainFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        pa.default_memory_pool().release_unused()


def _field_id(field: pa.Field) -> int | None:
    number = (field.metadata or {}).get(_FIELD_ID)
    return None if number is None else int(number)


def _is_same(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pt.is_large_string(wanted):
        return pt.is_string(found) or pt.is_large_string(found)
    if pt.is_large_binary(wanted):
        return pt.is_binary(found) or pt.is_large_binary(found)
    return found == wanted
