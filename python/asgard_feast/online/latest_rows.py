"""The newest row of each entity, out of a scan of any size, in bounded memory."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from asgard_feast.online.view import OnlineView

if TYPE_CHECKING:
    from pyiceberg.table import BaseScan

EVENT_AT = "__event_at"
CREATED_AT = "__created_at"
"""Microseconds since 1970 in UTC; the second one is null where the view names no column for it."""
_MEMORY_LIMIT = "256MB"
_OUT_ROWS = 20_000


@dataclass
class ScanCounts:
    """What a scan came upon."""

    rows: int = 0
    skipped: int = 0
    """Rows without an event time, or without one of the join keys: they are of no entity."""
    next_event_at: datetime | None = None
    """Of the rows that are dated after the run's end, and were left for a later one, the earliest."""
    _next: int | None = field(default=None, repr=False)

    def leave(self, earliest: int | None) -> None:
        """Notes rows that wait for their time."""
        if earliest is not None and (self._next is None or earliest < self._next):
            self._next = earliest
            self.next_event_at = datetime.fromtimestamp(earliest / 1e6, timezone.utc)


def latest_rows(
    scan: BaseScan, view: OnlineView, end: datetime, folder: Path, counts: ScanCounts, between: Callable[[], None]
) -> Iterator[pa.RecordBatch]:
    """The newest row up to `end` of each entity: the view's join keys and features, `EVENT_AT` and `CREATED_AT`.

    They come in any order. Of equal event times the later created one is newer, as in Feast's own retrieval. DuckDB
    sorts, and spills to a folder within `folder`. `between` is called before each batch that is read, and may raise.
    """
    names = [name for name, _ in (*view.join_keys, *view.features)]
    failures: list[BaseException] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in _scanned(scan):
                between()
                yield _ours(batch, view, names, end, counts)
        except Exception as error:
            failures.append(error)
            raise

    source = batches()
    first = next(source, None)
    if first is None:
        return
    schema = first.schema
    keys = ", ".join(_quoted(name) for name, _ in view.join_keys)
    with tempfile.TemporaryDirectory(prefix="latest-", dir=folder) as spill, _duckdb(spill) as database:
        reader = pa.RecordBatchReader.from_batches(schema, _chain(first, source, schema))
        database.register("scanned", reader)
        newest = database.sql(
            f"SELECT * FROM scanned QUALIFY row_number() OVER (PARTITION BY {keys}"
            f" ORDER BY {EVENT_AT} DESC, {CREATED_AT} DESC NULLS LAST) = 1"
        )
        try:
            yield from newest.to_arrow_reader(_OUT_ROWS)
        except (duckdb.Error, pa.ArrowException):
            # What went wrong in the source comes out as text alone.
            if failures:
                raise failures[0] from None
            raise


def _scanned(scan: BaseScan) -> Iterator[pa.RecordBatch]:
    """File by file: pyiceberg's own reader reads all files at once, and holds what nobody has taken yet."""
    from pyiceberg.io.pyarrow import ArrowScan

    for task in scan.plan_files():
        reader = ArrowScan(scan.table_metadata, scan.io, scan.projection(), scan.row_filter, scan.case_sensitive)
        yield from reader.to_record_batches([task])


def _ours(
    batch: pa.RecordBatch, view: OnlineView, names: list[str], end: datetime, counts: ScanCounts
) -> pa.RecordBatch:
    """The rows that count, with the columns by our names. All batches come out with one schema."""
    event_at = _microseconds(batch.column(view.timestamp_column))
    created = view.created_column
    created_at = pa.nulls(len(batch), pa.int64()) if created is None else _microseconds(batch.column(created))
    columns = [_plain(batch.column(view.column(name))) for name in names]
    table = pa.RecordBatch.from_arrays([*columns, event_at, created_at], [*names, EVENT_AT, CREATED_AT])
    whole = pc.is_valid(event_at)
    for name, _ in view.join_keys:
        whole = pc.and_(whole, pc.is_valid(table.column(name)))
    table = table.filter(whole)
    counts.rows += len(batch)
    counts.skipped += len(batch) - len(table)
    until = int(end.timestamp() * 1e6)
    is_late = pc.greater(table.column(EVENT_AT), until)
    counts.leave(pc.min(table.column(EVENT_AT).filter(is_late)).as_py())
    return table.filter(pc.invert(is_late))


def _microseconds(column: pa.Array) -> pa.Array:
    """Of a timestamp, which without a zone is in UTC, or of a date."""
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    return column.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())


def _plain(column: pa.Array) -> pa.Array:
    """Files differ in how they hold the same column: as dictionary, or with offsets of 64 bits."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type):
        return column.cast(pa.string())
    return column.cast(pa.binary()) if pa.types.is_large_binary(column.type) else column


def _chain(first: pa.RecordBatch, rest: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    yield first
    for batch in rest:
        yield batch if batch.schema.equals(schema) else batch.cast(schema)


@contextlib.contextmanager
def _duckdb(spill: str) -> Iterator[duckdb.DuckDBPyConnection]:
    settings = {"memory_limit": _MEMORY_LIMIT, "temp_directory": spill, "threads": "2"}
    database = duckdb.connect(config={**settings, "preserve_insertion_order": "false"})
    try:
        yield database
    finally:
        database.close()


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
