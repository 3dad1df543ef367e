"""Makes rows inside the range that a model was trained on, as a request would hold them: `{column: [values]}`."""

from __future__ import annotations

from typing import Any

import numpy as np

from asgard_compile.knowledge import Knowledge
from asgard_compile.layout import GivenColumn, Layout, Rows

_INTEGERS = {"integer", "long", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
_LARGEST_WHOLE = 2**53 - 1
_OTHER_WORDS = [
    "zebra",
    "Quux",
    "x",
    "I",
    "snake_case",
    "UPPER",
    "mixedCase",
    "42",
    "a1",
    "3.14",
    "don't",
    "e-mail",
    "__",
]
_BETWEEN = [" ", " ", " ", "  ", ", ", ". ", "-", "\t", "\n", "/", "!", "?! ", "'", "(", ") "]
_MOST_WORDS = 25


def made_rows(layout: Layout, known: Knowledge, count: int, seed: int, *, is_whole: bool) -> Rows:
    """`is_whole`: numbers without a fraction, as a client may send them for columns of any number."""
    random = np.random.default_rng(seed)
    return {column.name: _values(column, known, count, random, is_whole) for column in layout.columns}


def can_be_made(layout: Layout, known: Knowledge) -> str | None:
    """The column of which nothing is known; None when rows can be made."""
    for column in layout.columns:
        if column.kind == "text" and column.values is None and column.name not in known.words:
            return column.name
    return None


def is_integer(column: GivenColumn) -> bool:
    """Whether a request may hold whole numbers alone in it."""
    return column.type in _INTEGERS


def _values(
    column: GivenColumn, known: Knowledge, count: int, random: np.random.Generator, is_whole: bool
) -> list[Any]:
    if column.values is not None:
        return [column.values[at] for at in random.integers(0, len(column.values), count)]
    if column.kind == "text":
        return [_sentence(known.words[column.name], random) for _ in range(count)]
    if column.type in ("boolean", "bool"):
        return [bool(each) for each in random.integers(0, 2, count)]
    low, high = known.range_of(column.name)
    if is_integer(column) or is_whole:
        low, high = np.clip([np.ceil(low), max(np.ceil(low), np.floor(high))], -_LARGEST_WHOLE, _LARGEST_WHOLE)
        if column.type is not None and column.type.startswith("uint"):
            low = max(low, 0.0)
        return [int(each) for each in random.integers(int(low), int(high) + 1, count)]
    numbers = random.uniform(low, high, count)
    if column.type in ("float", "float32"):
        numbers = numbers.astype(np.float32)
    return [float(each) for each in numbers]


def _sentence(words: list[str], random: np.random.Generator) -> str:
    parts: list[str] = []
    for _ in range(int(random.integers(0, _MOST_WORDS))):
        among = words if random.random() < 0.7 else _OTHER_WORDS
        word = among[int(random.integers(0, len(among)))]
        if not word.isascii():
            continue
        parts.append(word.upper() if random.random() < 0.1 else word)
        parts.append(_BETWEEN[int(random.integers(0, len(_BETWEEN)))])
    return "".join(parts)
