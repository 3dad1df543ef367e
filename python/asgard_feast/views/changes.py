"""What applying a feature view would change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_UNDEFINED = ("version", "createdAt", "updatedAt")
"""What a view has beside its definition."""


def changes(before: dict[str, Any] | None, after: dict[str, Any]) -> list[dict[str, Any]]:
    """The differences between two records of a view, in the order of the definition.

    Each is `{"kind": "added"|"removed"|"changed", "path": ["features", "total_orders", "dtype"], "before", "after"}`.
    The order of entities, features and tags is no part of a definition. Empty texts are as good as none.
    """
    old, new = dict(_leaves(before or {})), dict(_leaves(after))
    found = []
    for path in {**old, **new}:
        if old.get(path) == new.get(path):
            continue
        kind = "changed" if path in old and path in new else "added" if path in new else "removed"
        found.append({"kind": kind, "path": list(path), "before": old.get(path), "after": new.get(path)})
    return found


def _leaves(record: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in record.items():
        if key in _UNDEFINED or key == "name":
            continue
        if key == "entities":
            yield from (((key, name), name) for name in value)
        elif key == "features":
            for feature in value:
                yield from (((key, feature["name"], *path), leaf) for path, leaf in _leaves(feature))
        elif isinstance(value, dict):
            # A tag may be empty, and is there all the same.
            yield from (((key, name), leaf) for name, leaf in value.items() if key == "tags" or leaf not in ("", None))
        elif value not in ("", None):
            yield (key,), value
