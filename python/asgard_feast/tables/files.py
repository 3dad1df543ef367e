"""The data files of one write, which belong to no table until they are committed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from asgard_feast.tables.cells import cell_issue, refused

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Transaction

FILE_BYTES = 128 * 2**20
"""A file that has grown to this is the last but one; readers take whole files one beside the other."""
GROUP_BYTES = 32 * 2**20


class DataFiles:
    """Parquet files with the columns that a table has within a transaction. One row group is in memory at once.

    pyiceberg's own writer hands all of a stream to its threads before the first has written, so it is not used here.
    """

    def __init__(self, transaction: Transaction) -> None:
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        self._metadata = transaction.table_metadata
        self._schema: pa.Schema = schema_to_pyarrow(self._metadata.schema())
        self._io: FileIO = transaction._table.io
        self._locations = transaction._table.location_provider()
        self._id = uuid.uuid4()
        self._paths: list[str] = []

    def write(self, batches: Iterator[pa.RecordBatch]) -> list[DataFile]:
        """Writes all rows. When that fails nothing is left, unless the process ends."""
        from pyiceberg.io.pyarrow import parquet_files_to_data_files

        try:
            groups = _groups(self._checked(batches))
            for first in groups:
                self._write_file(first, groups)
            return list(parquet_files_to_data_files(self._io, self._metadata, iter(self._paths)))
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Removes what was written, as it will not be committed."""
        for path in self._paths:
            try:
                self._io.delete(path)
            except OSError:
                continue
        self._paths = []

    def _write_file(self, first: pa.Table, more: Iterator[pa.Table]) -> None:
        path = self._locations.new_data_location(f"{len(self._paths):05d}-{self._id}.parquet")
        self._paths.append(path)
        with (
            self._io.new_output(path).create() as stream,
            pq.ParquetWriter(stream, self._schema, compression="zstd", store_schema=False) as writer,
        ):
            writer.write_table(first, row_group_size=first.num_rows)
            while stream.tell() < FILE_BYTES:
                group = next(more, None)
                if group is None:
                    return
                writer.write_table(group, row_group_size=group.num_rows)

    def _checked(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows in the table's own types. Raises BridgeError INVALID_INPUT where a required value is missing."""
        required = [field.name for field in self._schema if not field.nullable]
        first = 1
        for batch in batches:
            for name in required:
                if (values := batch.column(name)).null_count > 0:
                    row = first + values.is_null().index(True).as_py()
                    raise refused([cell_issue(row, name, "is empty, and the table requires a value")])
            yield batch.select(self._schema.names).cast(self._schema)  # the file's columns may be in another order
            first += batch.num_rows


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together to row groups."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if batch.num_rows == 0:
            continue
        waiting.append(batch)
        size += batch.nbytes
        if size >= GROUP_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting, size = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)
