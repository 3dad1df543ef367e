"""Names that somebody may have meant."""

from __future__ import annotations

from collections.abc import Sequence


def nearest_names(name: str, names: Sequence[str], limit: int = 1) -> list[str]:
    """Up to `limit` of `names` that a writer of `name` may have meant, the nearest first.

    Those that hold it or are held by it, and those within an edit distance of a third of its length, at most 8, in any
    case.
    """
    wanted = name.lower()
    most = min(max(1, len(wanted) // 3), _MOST_EDITS)
    near = [(_distance(wanted, candidate.lower(), most), candidate) for candidate in names]
    near = [each for each in near if each[0] <= most]
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
_MOST_EDITS = 8
"""Without it, two names of 250 characters take 20 ms to compare, and there may be thousands."""
_LEAST_HELD = 3
"""Nearly every name holds some one letter."""


def _distance(wanted: str, candidate: str, most: int) -> int:
    """How far apart they are; of those that are further apart than `most`, something more than that."""
    if not wanted or not candidate:
        return most + 1
    if candidate == wanted:
        return 0
    if min(len(candidate), len(wanted)) >= _LEAST_HELD and (candidate in wanted or wanted in candidate):
        return 1
    return most + 1 if abs(len(wanted) - len(candidate)) > most else _edit_distance(wanted, candidate, most)


def _edit_distance(a: str, b: str, most: int) -> int:
    """Levenshtein's: the fewest insertions, deletions and replacements of a character; `most` + 1 when that is more."""
    beyond = most + 1
    previous = list(range(len(b) + 1))
    for row, letter in enumerate(a, 1):
        current = [row] + [beyond] * len(b)
        # What is further from the diagonal is further apart.
        for column in range(max(1, row - most), min(len(b), row + most) + 1):
            replaced = previous[column - 1] + (letter != b[column - 1])
            current[column] = min(previous[column] + 1, current[column - 1] + 1, replaced)
        if min(current) > most:
            return beyond
        previous = current
    return min(previous[-1], beyond)
