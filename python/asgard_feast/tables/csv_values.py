"""What texts of a CSV file can be taken for, and taking them for it.

Types are found in the whole column. A column is what all of its texts are; one without any is as its table has it, else
`string`. An empty text counts for none, except in a string.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from asgard_feast.tables.column_types import TIMESTAMP, TIMESTAMPTZ, type_name

_DATE = r"\d{4}-\d\d-\d\d"
_TIME = rf"{_DATE}[T ]\d\d:\d\d(:\d\d(\.\d{{1,9}})?)?"
# A zero that leads is a part of a name: 007 is no number.
_WHOLE = r"[+-]?(0|[1-9]\d*)"
_INFINITE = r"[+-]?(?i:inf|infinity)"
_PATTERNS = {
    "boolean": r"(?i:true|false)",
    "whole": _WHOLE,
    "number": rf"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?|{_INFINITE}|(?i:nan)",
    "date": _DATE,
    "timestamp": rf"{_DATE}|{_TIME}",
    "timestamptz": rf"{_TIME}(Z|[+-]\d\d(:?\d\d)?)",
}
_FOUND = {
    "boolean": pa.bool_(),
    "number": pa.float64(),
    "date": pa.date32(),
    "timestamp": TIMESTAMP,
    "timestamptz": TIMESTAMPTZ,
}
_HINTS: dict[pa.DataType, str] = {
    pa.date32(): "write it as 2025-11-03",
    TIMESTAMP: "write it as 2025-11-03T10:00:00, without a zone and with at most 6 decimals",
    TIMESTAMPTZ: "write it as 2025-11-03T10:00:00Z, with at most 6 decimals",
    pa.bool_(): "write true or false",
}


class Guess:
    """What the texts of one column can all be."""

    def __init__(self) -> None:
        self._left = list(_PATTERNS)
        self._is_empty = True
        self._fits = {pa.int32(): True, pa.int64(): True}

    def see(self, values: pa.StringArray) -> None:
        """Looks at more texts of the column."""
        texts = _filled(values).drop_null()
        if len(texts) == 0:
            return
        self._is_empty = False
        self._left = [name for name in self._left if _all_match(texts, _PATTERNS[name])]
        for kind, fits in self._fits.items():
            self._fits[kind] = fits and "whole" in self._left and _is_castable(texts, kind)

    def type(self, current: pa.DataType | None) -> pa.DataType:
        """The type of the column. The one that its table has stays if all texts fit it, unless that is a string."""
        if self._is_empty:
            return current or pa.string()
        if current is not None and self._can_be(current):
            return current
        if "whole" in self._left:
            # What is beyond 64 bits would lose digits as a double.
            return pa.int64() if self._fits[pa.int64()] else pa.string()
        return _FOUND[self._left[0]] if self._left else pa.string()

    def _can_be(self, kind: pa.DataType) -> bool:
        if kind in self._fits:
            return self._fits[kind]
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return "number" in self._left
        return any(found == kind for name, found in _FOUND.items() if name in self._left)


def parse(values: pa.StringArray, kind: pa.DataType) -> pa.Array:
    """Texts as values of a type. Raises ArrowInvalid when one of them is none.

    A time without a zone is one of UTC where zones are kept, as Feast has it; `5.0` is a whole number.
    """
    if kind == pa.string():
        return values
    texts = _filled(values)
    if kind == TIMESTAMPTZ:
        texts = pc.replace_substring_regex(texts, f"^({_DATE})$", r"\1T00:00:00")
        texts = pc.replace_substring_regex(texts, f"^({_TIME})$", r"\1Z")
    if pa.types.is_timestamp(kind):
        # Zeros beyond the microseconds say nothing.
        return pc.replace_substring_regex(texts, r"(\.\d{6})0+", r"\1").cast(kind)
    if pa.types.is_integer(kind):
        return pc.replace_substring_regex(texts, r"^\+|\.0*$", "").cast(kind)
    parsed = texts.cast(kind)
    if pa.types.is_floating(kind):
        too_large = pc.and_(pc.is_inf(parsed), pc.invert(pc.match_substring_regex(texts, f"^({_INFINITE})$")))
        if pc.any(too_large).as_py():
            raise pa.ArrowInvalid("beyond the largest number")
    return parsed


def problem(text: str, kind: pa.DataType) -> str:
    """What is wrong with a text that is no value of a type."""
    hint = _HINTS.get(kind)
    if text in ("NA", "N/A", "NULL", "null", "None", "-"):
        hint = "leave it empty for none"
    elif pa.types.is_integer(kind) and _all_match(pa.array([text]), _WHOLE):
        hint = f"it has more than {kind.bit_width} bits"
    return f"is no {type_name(kind)}{'' if hint is None else f': {hint}'}"


def _filled(values: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)


def _all_match(texts: pa.StringArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, f"^({pattern})$")).as_py())


def _is_castable(texts: pa.StringArray, kind: pa.DataType) -> bool:
    try:
        pc.replace_substring_regex(texts, r"^\+", "").cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
