"""A feature view's table in Feast's online store, and what is known of how far it has come: all SQL of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection, sql
from psycopg.errors import UniqueViolation

from asgard_feast.errors import BridgeError
from asgard_feast.online.view import OnlineView

_STATE_TABLE = "materialized"
"""One row a view, written with its values. No view's table has this name: those begin with the project's."""
_STATE_DDL = """
CREATE TABLE IF NOT EXISTS {} (
  view text PRIMARY KEY,
  fingerprint text NOT NULL,
  online_table oid NOT NULL,
  table_uuid text NOT NULL,
  snapshot_id bigint,
  event_until timestamptz NOT NULL,
  next_event_at timestamptz,
  entities bigint NOT NULL
)
"""


@dataclass(frozen=True)
class State:
    """What the values of a view were made of."""

    fingerprint: str
    """Of the view's definition."""
    online_table: int
    """PostgreSQL's own number of the table with the values: another one has others."""
    table_uuid: str
    snapshot_id: int | None
    """Null: of an empty table."""
    event_until: datetime
    next_event_at: datetime | None
    """When rows that were dated in the future become due."""
    entities: int

    def is_of(self, view: OnlineView, table_uuid: str, online_table: int | None) -> bool:
        """Whether the values were made of this definition, of this table, and are still there."""
        there = (self.fingerprint, self.table_uuid, self.online_table)
        return there == (view.fingerprint, table_uuid, online_table)


@dataclass(frozen=True)
class Merged:
    """What a merge did."""

    values_written: int
    entities_deleted: int


class OnlineTable:
    """One view's values, within the caller's transaction."""

    def __init__(self, connection: Connection, schema: str, project: str, view: str) -> None:
        self._connection = connection
        self._schema = schema
        self._view = view
        self._name = f"{project}_{view}"
        self._target = sql.Identifier(schema, self._name)

    def lock(self) -> None:
        """Until the end of the transaction. Raises BridgeError CONFLICT while another one fills this view."""
        key = f"asgard materialize {self._schema}.{self._name}"
        row = self._connection.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [key]).fetchone()
        if row is None or not row[0]:
            raise BridgeError("CONFLICT", f"feature view {self._view!r} is being materialized already")

    def oid(self) -> int | None:
        """PostgreSQL's number of the table; None when there is none."""
        query = "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        row = self._connection.execute(
            f"{query} WHERE n.nspname = %s AND c.relname = %s", [self._schema, self._name]
        ).fetchone()
        return None if row is None else row[0]

    def stage(self, rows: Iterable[Sequence[Any]], features: Sequence[str]) -> None:
        """Copies rows of `(entity key, event µs, created µs, value, text, value, text, …)` to a temporary table."""
        pairs = [sql.SQL("v{0} bytea, t{0} text").format(sql.SQL(str(index))) for index in range(len(features))]
        columns = sql.SQL(", ").join([sql.SQL("entity_key bytea, event_at bigint, created_at bigint"), *pairs])
        self._connection.execute(sql.SQL("CREATE TEMPORARY TABLE staged ({}) ON COMMIT DROP").format(columns))
        types = ["bytea", "int8", "int8", *["bytea", "text"] * len(features)]
        with self._connection.cursor() as cursor, cursor.copy("COPY staged FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
        self._connection.execute("ANALYZE staged")

    def merge(self, features: Sequence[str], is_whole: bool) -> Merged:
        """Brings the staged rows of these features in.

        When they are the whole view, whatever else is there goes. Else they are additions: one that is older than what
        is there changes nothing.
        """
        deleted = self._delete_others(features) if is_whole else 0
        newer = (
            "(o.value, o.event_ts, o.created_ts) IS DISTINCT FROM"
            " (EXCLUDED.value, EXCLUDED.event_ts, EXCLUDED.created_ts)"
        )
        if not is_whole:
            newer += (
                " AND (o.event_ts, coalesce(o.created_ts, '-infinity'))"
                " <= (EXCLUDED.event_ts, coalesce(EXCLUDED.created_ts, '-infinity'))"
            )
        members = sql.SQL(", ").join(
            sql.SQL("({name}, s.v{index}, s.t{index})").format(name=sql.Literal(name), index=sql.SQL(str(index)))
            for index, name in enumerate(features)
        )
        statement = sql.SQL(
            "INSERT INTO {target} AS o (entity_key, feature_name, value, value_text, event_ts, created_ts)"
            " SELECT s.entity_key, f.name, f.value, f.text, {event}, {created} FROM staged s"
            " CROSS JOIN LATERAL (VALUES {members}) f (name, value, text)"
            " ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = EXCLUDED.value,"
            " value_text = EXCLUDED.value_text, event_ts = EXCLUDED.event_ts, created_ts = EXCLUDED.created_ts"
            f" WHERE {newer}"
        ).format(
            target=self._target,
            members=members,
            event=sql.SQL("timestamptz 'epoch' + s.event_at * interval '1 microsecond'"),
            created=sql.SQL("timestamptz 'epoch' + s.created_at * interval '1 microsecond'"),
        )
        return Merged(self._connection.execute(statement).rowcount, deleted)

    def _delete_others(self, features: Sequence[str]) -> int:
        statement = sql.SQL(
            "WITH gone AS (DELETE FROM {target} o WHERE NOT EXISTS"
            " (SELECT FROM staged s WHERE s.entity_key = o.entity_key) RETURNING entity_key)"
            " SELECT count(DISTINCT entity_key) FROM gone"
        ).format(target=self._target)
        row = self._connection.execute(statement).fetchone()
        # Of features that the view has no more.
        self._connection.execute(
            sql.SQL("DELETE FROM {} WHERE feature_name <> ALL(%s)").format(self._target), [list(features)]
        )
        return 0 if row is None else row[0]

    def count_entities(self, feature: str) -> int:
        """How many entities have values: each has one of every feature."""
        row = self._connection.execute(
            sql.SQL("SELECT count(*) FROM {} WHERE feature_name = %s").format(self._target), [feature]
        ).fetchone()
        return 0 if row is None else row[0]

    def save(self, state: State) -> None:
        """Notes what the values are made of now."""
        self._connection.execute(
            sql.SQL(
                "INSERT INTO {} VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (view) DO UPDATE SET"
                " (fingerprint, online_table, table_uuid, snapshot_id, event_until, next_event_at, entities) ="
                " (EXCLUDED.fingerprint, EXCLUDED.online_table, EXCLUDED.table_uuid, EXCLUDED.snapshot_id,"
                " EXCLUDED.event_until, EXCLUDED.next_event_at, EXCLUDED.entities)"
            ).format(sql.Identifier(self._schema, _STATE_TABLE)),
            [
                self._view,
                state.fingerprint,
                state.online_table,
                state.table_uuid,
                state.snapshot_id,
                state.event_until,
                state.next_event_at,
                state.entities,
            ],
        )


def make_state_table(connection: Connection, schema: str) -> None:
    """Makes the table of states where it is missing; not within a transaction, which would hold up others."""
    if _has_state_table(connection, schema):
        return
    # Two that make it at once: for one of them PostgreSQL's catalog has it already.
    with contextlib.suppress(UniqueViolation):
        connection.execute(sql.SQL(_STATE_DDL).format(sql.Identifier(schema, _STATE_TABLE)))


def _has_state_table(connection: Connection, schema: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s)", [f"{schema}.{_STATE_TABLE}"]).fetchone()
    return row is not None and row[0] is not None


def read_states(connection: Connection, schema: str, views: Sequence[str]) -> dict[str, State]:
    """What is known of these views; those that never were materialized are missing."""
    if not _has_state_table(connection, schema):
        return {}
    rows = connection.execute(
        sql.SQL(
            "SELECT view, fingerprint, online_table, table_uuid, snapshot_id, event_until, next_event_at, entities"
            " FROM {} WHERE view = ANY(%s)"
        ).format(sql.Identifier(schema, _STATE_TABLE)),
        [list(views)],
    ).fetchall()
    return {view: State(*state) for view, *state in rows}
