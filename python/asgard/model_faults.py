"""Tells what a model raises because it is broken from what it may raise because of a row that was only guessed."""

from __future__ import annotations

from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

_OF_THE_MODEL = (ImportError, MemoryError, NotImplementedError)
_CODE = (ModuleType, FunctionType, MethodType, BuiltinFunctionType, type)
# What rows, and all that is computed from them, is made of.
_OF_ROWS = ("builtins", "datetime", "decimal", "numpy", "pandas", "scipy")


def may_be_the_rows(error: Exception) -> bool:
    """Whether the model might well predict another row. In doubt it might: a model that works is not to be refused."""
    return not any(_is_of_the_model(each) for each in _causes(error))


def _is_of_the_model(error: BaseException) -> bool:
    if isinstance(error, _OF_THE_MODEL):
        return True
    if any(kind.__name__ == "NotFittedError" for kind in type(error).__mro__):
        return True
    # A variable that no branch has set depends on the row, a name that nobody has defined does not.
    if isinstance(error, NameError):
        return not isinstance(error, UnboundLocalError)
    return isinstance(error, AttributeError) and not _is_value(error.obj)


def _is_value(holder: Any) -> bool:
    """Whether what lacks an attribute may have come out of a row. Of some errors nobody says what lacks it: None."""
    return not isinstance(holder, _CODE) and type(holder).__module__.split(".")[0] in _OF_ROWS


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised from."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        yield each
        seen.add(id(each))
        # Not what was being handled when it was raised: libraries try one thing and then another.
        each = each.__cause__
