"""Writing a table: a file's rows become its content, or are added to it, in one snapshot or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from asgard_feast.context import Context
from asgard_feast.errors import BridgeError
from asgard_feast.tables.commit import OutdatedError, Target, commit, earlier
from asgard_feast.tables.files import DataFiles
from asgard_feast.tables.input_file import TableInput, open_input
from asgard_feast.tables.names import find, load, new_identifier
from asgard_feast.tables.schema import appending, replacing
from asgard_feast.tables.values import columns_of, snapshot_of

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

MAX_TRIES = 5


def write(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Writes a table from a file that lies on the disk.

    `schema`, `name`: of the table; one to be replaced is made if there is none, its schema too. `path`, `media_type`:
    of the file, `text/csv` or `application/vnd.apache.parquet`. `mode`: `replace` or `append`. `types`:
    `{column: type}` where they shall not be inferred. `write_id`: of this write; one that was done under the same id is
    told again.

    Gives `{"created", "columns", "snapshot"}`. Raises BridgeError INVALID_INPUT that leads to the row and column which
    cannot be taken, NOT_FOUND when there is nothing to append to, CONFLICT when feature views need a column that it
    would take away, or others kept changing the table.
    """
    identifier = new_identifier(params)
    for _ in range(MAX_TRIES):
        context.raise_if_cancelled()
        try:
            return _write(context, identifier, params)
        except OutdatedError:
            continue
    raise BridgeError("CONFLICT", f"others keep changing table {'.'.join(identifier)}: try again when they are done")


def _write(context: Context, identifier: tuple[str, str], params: dict[str, Any]) -> dict[str, Any]:
    catalog = context.catalog()
    is_append = params["mode"] == "append"
    table = load(catalog, *identifier) if is_append else find(catalog, *identifier)
    if table is not None:
        done = earlier(table, params["write_id"])
        if done is not None:
            return _result(table, done, created=done.parent_snapshot_id is None)
        if not table.spec().is_unpartitioned():
            raise BridgeError(
                "CONFLICT", f"table {'.'.join(identifier)} is partitioned: write it by the program that made it"
            )
    source = open_input(Path(params["path"]), params["media_type"])
    wanted = _columns(source, params, table)
    target = Target(context, identifier, wanted, is_append=is_append, write_id=params["write_id"])
    transaction = target.begin(table)
    files = DataFiles(transaction)
    written = files.write(_watched(context, source.batches(wanted)))
    try:
        context.raise_if_cancelled()
        table, snapshot = commit(target, transaction.table_metadata.schema(), written)
    except (OutdatedError, BridgeError):
        files.discard()
        raise
    # After any other failure nobody knows whether they are a part of the table by now.
    finally:
        pa.default_memory_pool().release_unused()
    return _result(table, snapshot, created=target.is_new)


def _columns(source: TableInput, params: dict[str, Any], table: Table | None) -> pa.Schema:
    types: dict[str, str] = params.get("types") or {}
    if params["mode"] == "append" and table is not None:
        return appending(source, types, table.schema())
    return replacing(source, types, None if table is None else table.schema())


def _watched(context: Context, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches, until nobody waits for the answer any more."""
    for batch in batches:
        context.raise_if_cancelled()
        yield batch


def _result(table: Table, snapshot: Snapshot, *, created: bool) -> dict[str, Any]:
    schema = table.schema() if snapshot.schema_id is None else table.schemas()[snapshot.schema_id]
    return {"created": created, "columns": columns_of(schema), "snapshot": snapshot_of(snapshot)}
