"""Making tables of the database that another platform's bridge may be making at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_MADE_BY_ANOTHER = ("23505", "42P07")
"""PostgreSQL's words for a table that came to be meanwhile: unique_violation (of its catalog), duplicate_table."""


_TRIES = 3
"""Feast makes its tables in one transaction and its row of the project in another: each may be another's work."""


def made_at_once(make: Callable[[], T]) -> T:
    """What `make` gives, which makes what is missing of its tables.

    Neither Feast nor pyiceberg takes a lock for that. Who comes second waits until the first has committed and fails;
    what the first made is there then, so `make` is called again.
    """
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    for _ in range(_TRIES - 1):
        try:
            return make()
        except (IntegrityError, ProgrammingError) as error:
            # psycopg's attribute, and psycopg2's.
            code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
            if code not in _MADE_BY_ANOTHER:
                raise
    return make()
