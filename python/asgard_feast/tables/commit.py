"""Committing the files of a write, whoever else commits to the same table meanwhile."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from asgard_feast.context import Context
from asgard_feast.errors import BridgeError
from asgard_feast.tables.names import find
from asgard_feast.tables.schema import evolve
from asgard_feast.tables.warehouse import refuse_lost_folder

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.snapshots import Snapshot

WRITE_ID = "asgard.write-id"
"""In a snapshot's summary: who asks again, not knowing whether the write was done, is told of it."""
MAX_COMMITS = 5
_locks = [threading.Lock() for _ in range(64)]
"""Of tables, by hash: writers within this process wait for each other rather than collide."""


class OutdatedError(Exception):
    """The table has other columns by now than those that the files were written for, or is there, or is gone."""


@dataclass
class Target:
    """What a write is to do to which table."""

    context: Context
    identifier: tuple[str, str]
    wanted: pa.Schema
    is_append: bool
    write_id: str
    is_new: bool = field(default=False, init=False)
    """Whether the last transaction that was begun makes the table."""

    @property
    def catalog(self) -> Catalog:
        """The catalog that the table is in."""
        return self.context.catalog()

    def begin(self, table: Table | None) -> Transaction:
        """A transaction in which the table has the wanted columns. An append leaves its columns as they are.

        Raises BridgeError CONFLICT when it cannot have them, UNAVAILABLE when its files have no place.
        """
        self.is_new = table is None
        if table is None:
            refuse_lost_folder(self.catalog)
            _make_namespace(self.catalog, self.identifier[0])
            return self.catalog.create_table_transaction(self.identifier, self.wanted)
        transaction = table.transaction()
        if not self.is_append:
            try:
                with transaction.update_schema(allow_incompatible_changes=True) as update:
                    evolve(update, table.schema(), self.wanted)
            except ValueError as error:
                # Such as an identifier field, which only others set.
                name = ".".join(self.identifier)
                raise BridgeError("CONFLICT", f"table {name} cannot be given these columns: {error}") from error
        return transaction


def commit(target: Target, schema: Schema, files: list[DataFile]) -> tuple[Table, Snapshot]:
    """Makes the files a snapshot of the table: all that it has, or added to what it has.

    Raises OutdatedError when they are not for the columns that it has by now, BridgeError CONFLICT when feature views
    need a column that they take away. Whatever else is raised leaves open whether it was done.
    """
    from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError, ValidationException

    with _locks[hash(target.identifier) % len(_locks)]:
        for attempt in range(MAX_COMMITS):
            table = find(target.catalog, *target.identifier)
            if table is None and target.is_append:
                raise OutdatedError
            transaction = target.begin(table)
            if transaction.table_metadata.schema() != schema:
                raise OutdatedError
            try:
                with _changing_columns(target, table, schema):
                    snapshot_id = _stage(target, transaction, table, files)
                    done = transaction.commit_transaction()
                return done, _found(done, snapshot_id)
            except (CommitFailedException, TableAlreadyExistsError, ValidationException):
                # Of another process.
                time.sleep(random.uniform(0.02, 0.1) * 2**attempt)
    raise OutdatedError


def earlier(table: Table, write_id: str) -> Snapshot | None:
    """The snapshot that a write of this id has made."""
    for snapshot in table.snapshots():
        if snapshot.summary is not None and snapshot.summary.additional_properties.get(WRITE_ID) == write_id:
            return snapshot
    return None


def _changing_columns(target: Target, table: Table | None, after: Schema) -> AbstractContextManager[None]:
    """To be held for the commit. It costs nothing where all columns stay: no view can miss any then."""
    there = {field.field_id for field in after.fields}
    gone = [] if table is None else [field.name for field in table.schema().fields if field.field_id not in there]
    if not gone:
        return nullcontext()
    target.context.wait_for_feast()
    from asgard_feast.tables.columns_in_use import taking_columns

    return taking_columns(target.context, *target.identifier, gone, after)


def _stage(target: Target, transaction: Transaction, table: Table | None, files: list[DataFile]) -> int:
    from pyiceberg.table.update import AssertCurrentSchemaId

    update = transaction.update_snapshot(snapshot_properties={WRITE_ID: target.write_id})
    if target.is_append or table is None:
        with update.fast_append() as append:
            for file in files:
                append.append_data_file(file)
        if table is not None:
            # pyiceberg tries an append again on top of what others commit, which may be other columns.
            transaction._stage((), (AssertCurrentSchemaId(current_schema_id=table.metadata.current_schema_id),))
        return append.snapshot_id
    # Not `transaction.overwrite`, which makes a snapshot without rows before the one with the new ones.
    with update.overwrite() as overwrite:
        for file in _live_files(table):
            overwrite.delete_data_file(file)
        for file in files:
            overwrite.append_data_file(file)
    return overwrite.snapshot_id


def _found(table: Table, snapshot_id: int) -> Snapshot:
    snapshot = table.snapshot_by_id(snapshot_id)
    if snapshot is None:
        raise RuntimeError(f"the catalog took snapshot {snapshot_id} and does not show it")
    return snapshot


def _live_files(table: Table) -> Iterator[DataFile]:
    from pyiceberg.manifest import DataFileContent

    snapshot = table.current_snapshot()
    for manifest in [] if snapshot is None else snapshot.manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            if entry.data_file.content == DataFileContent.DATA:
                yield entry.data_file


def _make_namespace(catalog: Catalog, name: str) -> None:
    """Unless it is there: another process may make it just now, which each kind of catalog reports in its own way."""
    if catalog.namespace_exists(name):
        return
    try:
        catalog.create_namespace(name)
    except Exception:
        if not catalog.namespace_exists(name):
            raise
