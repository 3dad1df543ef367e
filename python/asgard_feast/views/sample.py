"""What the first rows of a table say of a feature view: nulls, keys that are not unique, and some rows to look at."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyiceberg.table import FileScanTask, Table

from asgard_feast.tables.values import json_value

SAMPLE_ROWS = 10_000
SHOWN_ROWS = 5
_MOST_FILES = 50


def sample(table: Table, keys: list[str], columns: list[str]) -> dict[str, Any]:
    """Looks at up to 10,000 rows of the current snapshot.

    `keys`: the entity columns and the row's time; `columns`: all that the view reads, in order. Gives the number of
    rows looked at, for each column the share of nulls, how many rows repeat the keys of another, and the first rows.
    """
    rows = _first_rows(table, columns)
    return {
        "rows": rows.num_rows,
        "nullRates": [
            {"column": name, "rate": rows.column(name).null_count / rows.num_rows if rows.num_rows else 0.0}
            for name in columns
        ],
        "repeatedKeys": rows.num_rows - rows.group_by(keys).aggregate([]).num_rows if rows.num_rows else 0,
        "firstRows": [[json_value(value) for value in row.values()] for row in rows.slice(0, SHOWN_ROWS).to_pylist()],
    }


def _first_rows(table: Table, columns: list[str]) -> pa.Table:
    from pyiceberg.io.pyarrow import ArrowScan

    scan = table.scan(selected_fields=tuple(columns))
    reader = ArrowScan(table.metadata, table.io, scan.projection(), scan.row_filter, limit=SAMPLE_ROWS)
    return reader.to_table(_first_files(scan.plan_files())).select(columns)


def _first_files(tasks: Any) -> list[FileScanTask]:
    """As many files as hold the sample: by `limit` alone the first rows of every file would be read."""
    chosen, rows = [], 0
    for task in tasks:
        chosen.append(task)
        rows += task.file.record_count if not task.delete_files else 0
        if rows >= SAMPLE_ROWS or len(chosen) == _MOST_FILES:
            break
    return chosen
