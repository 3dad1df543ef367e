"""Names that somebody may have meant."""

from __future__ import annotations

from collections.abc import Sequence


def nearest_names(name: str, names: Sequence[str], limit: int = 1) -> list[str]:
    """Up to `limit` of `names` that a writer of `name` may have meant, the nearest first.

    Those that hold it or are held by it, and those within an edit distance of a third of its length, in any case.
    """
    wanted = name.lower()
    near = [(_distance(wanted, candidate.lower()), candidate) for candidate in names]
    near = [each for each in near if each[0] <= max(1, len(wanted) / 3)]
    return [candidate for _, candidate in sorted(near, key=lambda each: each[0])[:limit]]


def instead_of(name: str, names: Sequence[str]) -> str:
    """What there is instead of `name`, to end a message with: the nearest name, else some of those that there are."""
    near = nearest_names(name, names)
    if near:
        return f'did you mean "{near[0]}"?'
    if not names:
        return "there is none"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"there is {', '.join(names[:_SHOWN])}{more}"


_SHOWN = 20
_LEAST_HELD = 3
"""Nearly every name holds some one letter."""


def _distance(wanted: str, candidate: str) -> float:
    if not wanted or not candidate:
        return float("inf")
    if candidate == wanted:
        return 0
    if min(len(candidate), len(wanted)) >= _LEAST_HELD and (candidate in wanted or wanted in candidate):
        return 1
    return _edit_distance(wanted, candidate)


def _edit_distance(a: str, b: str) -> int:
    """Levenshtein's: the fewest insertions, deletions and replacements of one character."""
    previous = list(range(len(b) + 1))
    for row, letter in enumerate(a, 1):
        current = [row]
        for column, other in enumerate(b, 1):
            replaced = previous[column - 1] + (letter != other)
            current.append(min(previous[column] + 1, current[-1] + 1, replaced))
        previous = current
    return previous[-1]
