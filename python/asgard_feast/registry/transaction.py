"""Feast's registry and its online tables, changed in one transaction under one lock.

Feast itself writes each object, and each part of a feature view, in a transaction of its own, guarded by nothing: two
writers of one name fail or silently lose one, and a process that dies leaves half. Here a change is read, checked and
written as one. There is one lock and not one for each name, since views share entities and sources, and services name
views: holding it takes some 30 ms.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from feast import FeatureStore, FeatureView
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.registry.sql import SqlRegistry
from sqlalchemy import Connection, column, delete, table, text
from sqlalchemy.exc import OperationalError

from asgard_feast.errors import BridgeError

_LOCK = 6_041_975_113
"""The key of the advisory lock, of this use alone."""
_LOCK_TIMEOUT = "20s"
_TABLE_LOCK_TIMEOUT = "5s"
"""For an online table that is being filled."""
_SET_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', :timeout, true)")
_LOCK_NOT_AVAILABLE = "55P03"


class RegistryChange:
    """What can be done within one change of the registry."""

    def __init__(self, store: FeatureStore, connection: Connection) -> None:
        self._store = store
        self.connection = connection
        self.project = store.project
        self.registry = registry_on(store, connection)
        """Feast's registry, on the transaction."""

    def update_online_tables(self, *, drop: list[FeatureView], create: list[FeatureView]) -> None:
        """Has Feast's online store drop tables and make those that are missing, with everything that they need."""
        online = copy.copy(self._store.provider.online_store)
        online._get_conn = self._connection_of_online_store
        online.update(self._store.config, drop, create, [], [], partial=True)

    def delete_online_features(self, view: FeatureView, names: list[str]) -> None:
        """Deletes the online values of some features of a view."""
        schema = self._store.config.online_store.db_schema
        values = table(compute_table_id(self.project, view), column("feature_name"), schema=schema)
        self.connection.execute(delete(values).where(values.c.feature_name.in_(names)))

    @contextmanager
    def _connection_of_online_store(self, config: Any, _autocommit: bool = False) -> Iterator[Any]:
        """The transaction's own connection, looking into the schema of the online store."""
        path = self.connection.execute(text("SELECT current_setting('search_path')")).scalar_one()
        set_path = text("SELECT set_config('search_path', :path, true)")
        self.connection.execute(set_path, {"path": config.online_store.db_schema})
        yield _Uncommitted(self.connection.connection.driver_connection)
        self.connection.execute(set_path, {"path": path})


@contextmanager
def registry_change(store: FeatureStore) -> Iterator[RegistryChange]:
    """One change of the registry: all of it is there when the block ends, and nothing when it raises.

    No other change begins meanwhile, on any replica. Raises BridgeError UNAVAILABLE when others take longer than 20 s.
    """
    with store.registry.write_engine.begin() as connection:
        try:
            connection.execute(_SET_LOCK_TIMEOUT, {"timeout": _LOCK_TIMEOUT})
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            connection.execute(_SET_LOCK_TIMEOUT, {"timeout": _TABLE_LOCK_TIMEOUT})
            yield RegistryChange(store, connection)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            message = "nothing was changed, as another change or a materialization goes on: try again"
            raise BridgeError("UNAVAILABLE", message) from error


def registry_on(store: FeatureStore, connection: Connection) -> SqlRegistry:
    """Feast's registry with all that it does on one connection, as parts of its transaction."""
    registry = copy.copy(store.registry)
    registry.write_engine = registry.read_engine = _Within(connection)
    registry.cache_mode = "none"  # with any that Feast knows each write would have it read the whole registry again
    return registry


class _Within:
    """Stands for an engine; its transactions are savepoints."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self._connection.begin_nested():
            yield self._connection


class _Uncommitted:
    """A psycopg connection whose transaction is not its user's to end."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def cursor(self) -> Any:
        return self._connection.cursor()

    def commit(self) -> None:
        """Left to the transaction."""
