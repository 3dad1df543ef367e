"""One snapshot of an Iceberg table as a stream of batches: the columns that are asked for, from its planned files."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import datetime, timezone

import pyarrow as pa
from feast.data_source import DataSource
from feast.infra.data_sources.contrib.iceberg_catalog.iceberg_source import IcebergSource
from feast.repo_config import RepoConfig
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, GreaterThanOrEqual, LessThanOrEqual
from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
from pyiceberg.manifest import ManifestEntry
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, ManifestGroupPlanner, Table
from pyiceberg.types import DateType, NestedField, TimestampType, TimestamptzType

from asgard_feast.retrieval.parts import ROWS_A_FILE, Part, TimeRange
from asgard_feast.retrieval.pins import Pins
from asgard_feast.retrieval.plain_files import plain_parts

_TIMES = (DateType, TimestampType, TimestamptzType)


class SnapshotOfTable:
    """A table as it is read: at one snapshot, chosen when it is opened."""

    def __init__(self, name: str, table: Table, snapshot_id: int | None) -> None:
        self.name = name
        """As people write it: `iceberg.gold.customer_metrics`."""
        self.snapshot_id = snapshot_id
        """None: the table has no rows yet."""
        self._table = table
        self._scan = table.scan(snapshot_id=snapshot_id)

    @staticmethod
    def open(config: RepoConfig, source: DataSource | None, pins: Pins) -> SnapshotOfTable:
        """The table of a source.

        Raises ValueError when there is none, or not the pinned snapshot; PermissionError when that takes a key, and the
        platform has none for scripts.
        """
        if not isinstance(source, IcebergSource):
            raise ValueError(f"the offline store reads Iceberg tables, and the source is a {type(source).__name__}")
        name = f"{source.catalog_name}.{source.namespace}.{source.iceberg_table}"
        properties = config.offline_store.catalogs.get(source.catalog_name)
        if properties is None:
            known = ", ".join(config.offline_store.catalogs) or "none"
            raise ValueError(f"{name} is in a catalog without settings in feature_store.yaml; there is {known}")
        catalog = _catalog(source.catalog_name, tuple(sorted(properties.items())))
        try:
            table = catalog.load_table(f"{source.namespace}.{source.iceberg_table}")
        except NoSuchTableError:
            raise ValueError(f"there is no table {name}") from None
        except OSError as error:
            if "s3.anonymous" not in properties:
                raise
            cure = "set ICEBERG_READ_ACCESS_KEY_ID and ICEBERG_READ_SECRET_ACCESS_KEY where the platform is started"
            raise PermissionError(f"{name} cannot be read without a key: {cure} ({error})") from error
        return SnapshotOfTable(name, table, pins.snapshot_of(table, name))

    def column(self, name: str) -> NestedField:
        """A column of this snapshot. Raises ValueError naming those that there are."""
        try:
            return self._scan.projection().find_field(name)
        except ValueError:
            there = ", ".join(field.name for field in self._scan.projection().fields)
            at = "" if self.snapshot_id is None else f" at snapshot {self.snapshot_id}"
            raise ValueError(f"{self.name} has no column {name}{at}; it has {there}") from None

    def schema(self, columns: list[str]) -> pa.Schema:
        """The types of columns, in this order."""
        fields = [self.column(name) for name in columns]
        return schema_to_pyarrow(Schema(*fields), include_field_ids=False)

    def parts(self, columns: list[str], time_field: str, time_range: TimeRange) -> Iterator[Part]:
        """All rows in the range, and maybe others: what is known of files and their parts decides what is skipped.

        `columns`: all that will be read of any part. Rows come in the order in which they were committed; those of one
        commit in an order that is always the same. Reading a part holds no more than some 10,000 rows and, of a file
        with deletes or of another schema, the columns that are read.
        """
        time = self.column(time_field)
        fields = Schema(*(self.column(name) for name in columns))
        schema = self.schema(columns)
        in_range = self._in_range(time, time_range)
        for index, task in enumerate(self._tasks(in_range)):
            first = index * ROWS_A_FILE
            plain = plain_parts(self._table.io, task, first, fields, schema, time.field_id, time_range)
            if plain is None:
                yield Part(first, first + ROWS_A_FILE, functools.partial(self._read, task, in_range))
            else:
                yield from plain

    def _read(self, task: FileScanTask, in_range: BooleanExpression, columns: list[str]) -> Iterator[pa.RecordBatch]:
        schema = self.schema(columns)
        fields = Schema(*(self.column(name) for name in columns))
        for batch in ArrowScan(self._table.metadata, self._table.io, fields, in_range).to_record_batches([task]):
            yield batch if batch.schema.equals(schema) else batch.select(columns).cast(schema)

    def _tasks(self, in_range: BooleanExpression) -> list[FileScanTask]:
        """The files of the snapshot that may have rows in the range, with what is deleted of each; the oldest first."""
        snapshot = self._scan.snapshot()
        if snapshot is None or self.snapshot_id is None:
            return []
        committed: dict[str, int] = {}

        def note(entry: ManifestEntry) -> bool:
            committed[entry.data_file.file_path] = entry.sequence_number or 0
            return True

        planner = ManifestGroupPlanner(self._table.metadata, self._table.io, in_range)
        tasks = planner.plan_files(snapshot.manifests(self._table.io), manifest_entry_filter=note)
        return sorted(tasks, key=lambda task: committed[task.file.file_path])

    def _in_range(self, time_field: NestedField, time_range: TimeRange) -> BooleanExpression:
        """The range for pyiceberg, which knows the columns by the names that they have now."""
        try:
            field = self._table.schema().find_field(time_field.field_id)
        except ValueError:
            return AlwaysTrue()
        if not isinstance(field.field_type, _TIMES) or field.field_type != time_field.field_type:
            return AlwaysTrue()
        result: BooleanExpression = AlwaysTrue()
        if time_range.first is not None:
            result = And(result, GreaterThanOrEqual(field.name, _literal(field, time_range.first)))
        if time_range.last is not None:
            result = And(result, LessThanOrEqual(field.name, _literal(field, time_range.last)))
        return result


def _literal(field: NestedField, moment: datetime) -> str:
    moment = moment.astimezone(timezone.utc)
    if isinstance(field.field_type, DateType):
        return moment.date().isoformat()
    return (moment if isinstance(field.field_type, TimestamptzType) else moment.replace(tzinfo=None)).isoformat()


@functools.lru_cache(maxsize=16)
def _catalog(name: str, properties: tuple[tuple[str, str], ...]) -> Catalog:
    return load_catalog(name, **dict(properties))
