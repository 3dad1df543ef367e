"""What the columns of a table may be called."""

from __future__ import annotations

import unicodedata

from asgard_feast.errors import Issue, invalid_input
from asgard_feast.tables.cells import refused, shown

MAX_COLUMNS = 2000
MAX_NAME = 200


def check_columns(names: list[str]) -> None:
    """Raises BridgeError INVALID_INPUT when these names cannot be those of a table's columns.

    They must differ also when case does not count: queries do not tell `Age` from `age`.
    """
    if not 1 <= len(names) <= MAX_COLUMNS:
        raise invalid_input([], f"the file has {len(names)} columns; a table has 1 to {MAX_COLUMNS}")
    issues: list[Issue] = []
    seen: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        message = _name_problem(name)
        if message is None and name.casefold() in seen:
            message = f"is the name of column {seen[name.casefold()]} too; each needs a name of its own"
        seen.setdefault(name.casefold(), number)
        if message is not None:
            text = f"column {number}, {shown(name)}: {message}"
            issues.append({"path": ["columns", number], "message": text, "type": "value_error"})
    if issues:
        raise refused(issues[:100])


def _name_problem(name: str) -> str | None:
    if name == "":
        return "has no name in the header"
    if name.strip() != name:
        return "must not begin or end with white space"
    if len(name) > MAX_NAME:
        return f"must have at most {MAX_NAME} characters"
    if any(unicodedata.category(character) == "Cs" for character in name):
        return "is not UTF-8"
    if "." in name or any(unicodedata.category(character) == "Cc" for character in name):
        return "must not hold a dot or a control character"
    return None
