"""Parquet files that hold a table's columns as they are: without deletes, and of the schema that is asked for.

pyiceberg reads any file, but whole ones (0.12: `ArrowScan.to_record_batches`). These are most of the files of most
tables, and are read row group by row group in constant memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pyarrow.types as pt
from pyiceberg.io import FileIO
from pyiceberg.manifest import FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask

from asgard_feast.retrieval.parts import Part, TimeRange

_BATCH_ROWS = 32_768
_BUFFER_BYTES = 256 * 1024
_REMOTE_BUFFER_BYTES = 4 * 1024 * 1024
"""Of each column. Every filling of it is a request of its own to an object store."""
_FIELD_ID = b"PARQUET:field_id"


def plain_parts(
    io: FileIO,
    task: FileScanTask,
    first: int,
    fields: Schema,
    schema: pa.Schema,
    time_field_id: int,
    in_range: TimeRange,
) -> list[Part] | None:
    """The row groups of a task's file that may have rows in the range, or None when it is not such a file.

    `first`: the number of the file's first row. `schema`: Arrow's of `fields`, in the same order.
    """
    if task.file.file_format != FileFormat.PARQUET or task.delete_files:
        return None
    path = task.file.file_path
    with io.new_input(path).open() as file:
        parquet = pq.ParquetFile(file, pre_buffer=False)
        by_id = {_field_id(field): field for field in parquet.schema_arrow}
        there = {field.name: by_id.get(field.field_id) for field in fields.fields}
        names = {
            name: field.name for name, field in there.items() if field and _is_same(field.type, schema.field(name).type)
        }
        if len(names) < len(there):
            return None
        wanted = _row_groups(file, by_id.get(time_field_id), in_range)
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
    parts = []
    for group, size in enumerate(sizes):
        if wanted is None or group in wanted:
            parts.append(Part(first, first + size, partial(_read, io, path, group, names, schema)))
        first += size
    return parts


def _read(
    io: FileIO, path: str, group: int, names: dict[str, str], schema: pa.Schema, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """`names`: by the table's name of a column the file's."""
    buffer_size = _BUFFER_BYTES if path.startswith(("/", "file:")) else _REMOTE_BUFFER_BYTES
    schema = pa.schema([schema.field(column) for column in columns])
    there = [names[column] for column in columns]
    with io.new_input(path).open() as file:
        parquet = pq.ParquetFile(file, buffer_size=buffer_size, pre_buffer=False)
        # The columns come one after the other: the parts are read side by side.
        for batch in parquet.iter_batches(_BATCH_ROWS, [group], there, use_threads=False):
            arrays = [batch.column(name).cast(field.type) for name, field in zip(there, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
    pa.default_memory_pool().release_unused()


def _row_groups(file: pa.NativeFile, time: pa.Field | None, in_range: TimeRange) -> set[int] | None:
    """Those that may have rows in the range; None: all."""
    if time is None or not pt.is_timestamp(time.type):
        return None
    is_in = pc.scalar(True)
    for bound, compare in ((in_range.first, pc.greater_equal), (in_range.last, pc.less_equal)):
        if bound is not None:
            moment = pa.scalar(bound if time.type.tz else bound.replace(tzinfo=None), time.type)
            is_in = is_in & compare(pc.field(time.name), moment)
    fragment = ds.ParquetFileFormat().make_fragment(file).subset(is_in)
    return {group.id for group in fragment.row_groups}


def _field_id(field: pa.Field) -> int | None:
    number = (field.metadata or {}).get(_FIELD_ID)
    return None if number is None else int(number)


def _is_same(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pt.is_large_string(wanted):
        return pt.is_string(found) or pt.is_large_string(found)
    if pt.is_large_binary(wanted):
        return pt.is_binary(found) or pt.is_large_binary(found)
    return found == wanted
