"""The least and the largest value in a column of a table's current snapshot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import FileScanTask, Table
from pyiceberg.types import DoubleType, FloatType, IcebergType, ListType, NestedField

from asgard_feast.views.dtypes import Limits


def value_bounds(table: Table, field: NestedField, limits: Limits, check: Callable[[], None]) -> Limits | None:
    """What the values of a column lie within, of lists their elements; None when there are no values.

    The statistics of the data files tell it without reading them. A file that has none, or whose deleted rows may be
    what lies outside of `limits`, is read. `check` is called between steps, and may raise.
    """
    found: list[Limits] = []
    unknown: list[FileScanTask] = []
    for task in table.scan(selected_fields=(field.name,)).plan_files():
        check()
        known = _of_file(task, field)
        if known is None or (task.delete_files and not _within(known, limits)):
            unknown.append(task)
        else:
            found.append(known)
    for task in unknown:
        for batch in _batches(table, field, task):
            check()
            found.extend(_of_array(batch.column(0)))
    found = [each for each in found if each is not _EMPTY]
    return Limits(min(each.least for each in found), max(each.largest for each in found)) if found else None


_EMPTY = Limits(0, 0)
"""Of a file without any value; compared by identity."""


def _within(found: Limits, limits: Limits) -> bool:
    return found is _EMPTY or (limits.least <= found.least and found.largest <= limits.largest)


def _of_file(task: FileScanTask, field: NestedField) -> Limits | None:
    """From the statistics of a file; None when they do not tell."""
    if isinstance(field.field_type, ListType):
        return None  # a writer may count lists, elements, or neither
    file = task.file
    if file.record_count == 0 or (file.null_value_counts or {}).get(field.field_id) == file.record_count:
        return _EMPTY
    least, largest = (file.lower_bounds or {}).get(field.field_id), (file.upper_bounds or {}).get(field.field_id)
    if least is None or largest is None:
        return None
    found = Limits(_number(field.field_type, least), _number(field.field_type, largest))
    return found if all(math.isfinite(bound) for bound in found) else None


def _number(column: IcebergType, data: bytes) -> float:
    """A bound as Iceberg stores it. One of a file from before the column was widened is as narrow as it was."""
    if isinstance(column, (FloatType, DoubleType)):
        return memoryview(data).cast("f" if len(data) == 4 else "d")[0]
    return int.from_bytes(data, "little", signed=True)


def _batches(table: Table, field: NestedField, task: FileScanTask) -> Iterator[pa.RecordBatch]:
    from pyiceberg.io.pyarrow import ArrowScan

    scan = table.scan(selected_fields=(field.name,))
    yield from ArrowScan(table.metadata, table.io, scan.projection(), scan.row_filter).to_record_batches([task])


def _of_array(values: pa.Array) -> Iterator[Limits]:
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        values = pc.list_flatten(values)
    if pa.types.is_floating(values.type):
        values = values.filter(pc.is_finite(values))
    bounds = pc.min_max(values).as_py()
    if bounds["min"] is not None:
        yield Limits(bounds["min"], bounds["max"])
