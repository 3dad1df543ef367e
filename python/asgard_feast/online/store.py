"""Where a view's online values come from and go to: its definition, its table, and Feast's store on PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import make_conninfo

from asgard_feast.context import Context
from asgard_feast.errors import BridgeError
from asgard_feast.online.view import OnlineView

if TYPE_CHECKING:
    from feast import FeatureView
    from pyiceberg.table import Table

_CONNECT_TIMEOUT_SECONDS = 5
_STATEMENT_TIMEOUT = timedelta(minutes=30)


def feature_view(context: Context, name: str) -> FeatureView:
    """Raises BridgeError NOT_FOUND when there is none of this name."""
    from feast.errors import FeatureViewNotFoundException

    try:
        return context.store.get_feature_view(name)
    except FeatureViewNotFoundException as error:
        raise BridgeError("NOT_FOUND", f"there is no feature view {name!r}") from error


def source_table(context: Context, view: OnlineView) -> Table:
    """The table that a view is made of. Raises BridgeError CONFLICT when it is gone."""
    from pyiceberg.exceptions import NoSuchTableError

    try:
        return context.catalog(view.catalog).load_table((view.schema, view.table))
    except NoSuchTableError as error:
        place = f"{view.catalog}.{view.schema}.{view.table}"
        raise BridgeError("CONFLICT", f"feature view {view.name!r} is made of {place}, which is gone") from error


def online_schema(context: Context) -> str:
    """The schema of PostgreSQL with Feast's online tables."""
    return context.settings.store["online_store"]["db_schema"]


@contextlib.contextmanager
def connect(context: Context) -> Iterator[psycopg.Connection]:
    """A connection of this run's own. What it cannot reach, or loses, is UNAVAILABLE."""
    store = context.settings.store["online_store"]
    info = make_conninfo(
        host=store["host"],
        port=store["port"],
        dbname=store["database"],
        user=store["user"],
        password=store["password"],
        sslmode=store["sslmode"],
        connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        application_name="asgard-materialize",
        options=f"-ctimezone=UTC -cstatement_timeout={int(_STATEMENT_TIMEOUT.total_seconds() * 1000)}",
    )
    try:
        with psycopg.connect(info, autocommit=True) as connection:
            # From version 14 on, PostgreSQL can notice in the middle of a statement that this process is gone.
            connection.execute(
                "SELECT set_config(name, '2s', false) FROM pg_settings WHERE name = 'client_connection_check_interval'"
            )
            yield connection
    except psycopg.errors.UndefinedTable as error:
        raise BridgeError("CONFLICT", "the feature view was deleted or made anew meanwhile; try again") from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        reason = str(error).strip().split("\n")[0]
        raise BridgeError("UNAVAILABLE", f"the online store does not answer: {reason}") from error
