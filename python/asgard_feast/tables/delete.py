"""Deleting a table: it leaves the catalog, and then its files go."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from asgard_feast.catalogs import CATALOG
from asgard_feast.context import Context
from asgard_feast.errors import BridgeError
from asgard_feast.registry.state import RegistryState
from asgard_feast.registry.transaction import registry_change
from asgard_feast.tables.names import find, load

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table import Table

MAX_TRIES = 5
MAX_FILES = 1_000_000
"""Whose names take some 200 MB of memory."""
_AT_ONCE = 8


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Deletes a table, as `{"schema", "name"}` names it, with the files of all its snapshots.

    Gives `{"removed_files", "kept_files"}`. Kept is what does not lie in the table's own folder, as others may have
    written it for more than this table, and what could not be removed. A bridge that ends in the middle leaves files of
    no table. Raises BridgeError NOT_FOUND; CONFLICT naming the feature views that read it, or when others kept changing
    it: nothing is changed then.
    """
    for _ in range(MAX_TRIES):
        context.raise_if_cancelled()
        table = load(context.catalog(), params["schema"], params["name"])
        files = _files_of(table)
        if _drop(context, table, params):
            return _remove(table.io, table.location(), files)
    name = f"{params['schema']}.{params['name']}"
    raise BridgeError("CONFLICT", f"others keep changing table {name}: try again when they are done")


def _files_of(table: Table) -> set[str]:
    """What its metadata names, of all snapshots. Looked up first: what cannot be read must not lose its table."""
    files: set[str] = set()
    for path in _named(table):
        files.add(path)
        if len(files) > MAX_FILES:
            name = ".".join(table.name())
            cure = "delete it by the program that made it"
            raise BridgeError("CONFLICT", f"table {name} has more than {MAX_FILES:,} files: {cure}")
    return files


def _named(table: Table) -> Iterator[str]:
    metadata = table.metadata
    seen: set[str] = set()
    for snapshot in metadata.snapshots:
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
                yield entry.data_file.file_path
        yield snapshot.manifest_list
    yield from seen
    yield from (each.statistics_path for each in metadata.statistics)
    yield from (each.statistics_path for each in metadata.partition_statistics)
    yield from (each.metadata_file for each in metadata.metadata_log)
    yield table.metadata_location


def _drop(context: Context, table: Table, params: dict[str, Any]) -> bool:
    """Takes it off the catalog, unless it has changed since it was looked at. No feature view is applied meanwhile."""
    schema, name = params["schema"], params["name"]
    catalog = context.catalog()
    with registry_change(context.store) as change:
        views = RegistryState.read(change.connection, change.project).views_of_table(CATALOG, schema, name)
        if views:
            listed = f"{', '.join(views[:20])}{f' and {len(views) - 20} more' if len(views) > 20 else ''}"
            message = f"table {schema}.{name} is read by the feature views {listed}: delete or change those first"
            raise BridgeError("CONFLICT", message)
        now = find(catalog, schema, name)
        if now is None or now.metadata_location != table.metadata_location:
            return False
        catalog.drop_table(table.name())
    return True


def _remove(io: FileIO, folder: str, files: set[str]) -> dict[str, Any]:
    prefix = f"{folder.rstrip('/')}/"
    own = [path for path in files if path.startswith(prefix)]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="remove") as threads:
        removed = sum(threads.map(lambda path: _is_removed(io, path), own))
    return {"removed_files": removed, "kept_files": len(files) - removed}


def _is_removed(io: FileIO, path: str) -> bool:
    try:
        io.delete(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
