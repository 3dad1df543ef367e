"""Real Iceberg tables for tests: a SQL catalog on SQLite, and what pyiceberg itself does not write."""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestContent, ManifestWriterV2
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, NestedField, StringType

_POSITION_DELETE = Schema(
    NestedField(2147483546, "file_path", StringType(), required=True),
    NestedField(2147483545, "pos", LongType(), required=True),
)


def catalog_properties(folder: Path) -> dict[str, str]:
    return {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/warehouse"}


def new_catalog(folder: Path) -> Catalog:
    catalog = load_catalog("iceberg", **catalog_properties(folder))
    catalog.create_namespace("gold")
    return catalog


def delete_positions(table: Table, file_path: str, positions: list[int]) -> None:
    """Deletes rows of a data file the way Spark does, by a file beside it (merge on read)."""
    path = f"{table.location()}/data/{uuid.uuid4()}-deletes.parquet"
    content = pa.table(
        [pa.array([file_path] * len(positions)), pa.array(positions, pa.int64())],
        schema=pa.schema(
            [
                pa.field(field.name, kind, False, {"PARQUET:field_id": str(field.field_id)})
                for field, kind in zip(_POSITION_DELETE.fields, (pa.string(), pa.int64()), strict=True)
            ]
        ),
    )
    local = path.removeprefix("file://")
    pq.write_table(content, local)
    data_file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=len(positions),
        file_size_in_bytes=Path(local).stat().st_size,
    )
    data_file.spec_id = table.spec().spec_id
    with (
        table.transaction() as transaction,
        _AppendDeletes(operation=Operation.APPEND, transaction=transaction, io=table.io) as append,
    ):
        append.append_data_file(data_file)


class _DeletesWriter(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


class _AppendDeletes(_FastAppendFiles):
    def new_manifest_writer(self, spec: PartitionSpec) -> ManifestWriterV2:
        return _DeletesWriter(spec, self.schema(), self.new_manifest_output(), self._snapshot_id, self._compression)
