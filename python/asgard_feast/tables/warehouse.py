"""Where a catalog puts the files of new tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asgard_feast.errors import BridgeError
from asgard_feast.tables.names import all_tables

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

_WAREHOUSE = "warehouse"


def refuse_lost_folder(catalog: Catalog) -> None:
    """Raises BridgeError UNAVAILABLE when the warehouse is a folder that is gone although there are tables.

    To be called before a table is made: pyiceberg would make the folder anew, and a disk that is not mounted would
    become an empty store.
    """
    location = catalog.properties.get(_WAREHOUSE, "")
    folder = Path(location.removeprefix("file://"))
    # What is no path is a bucket, or a name that the catalog's server knows.
    if not folder.is_absolute() or folder.is_dir():
        return
    if all_tables(catalog) and not folder.is_dir():  # not one that the first table has just been made in
        message = f"the feature store's warehouse cannot be used: its folder {folder} is gone, and there are tables"
        raise BridgeError("UNAVAILABLE", message)
