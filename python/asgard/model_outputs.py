"""Turns what a model returned into values that JSON can carry."""

from __future__ import annotations

import base64
import datetime
import decimal
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def to_rows(output: Any) -> list[Any]:
    """A list with an element for each row of the output.

    A DataFrame gives an object for each row if its columns have names, each another, and else a list; a mapping of
    columns of one length is taken for a DataFrame. An array gives numbers, or lists of them. One value alone is a list
    of it.
    """
    if isinstance(output, pd.DataFrame):
        rows = [to_json(row) for row in output.itertuples(index=False, name=None)]
        if output.columns.is_unique and all(isinstance(name, str) for name in output.columns):
            return [dict(zip(output.columns, row, strict=True)) for row in rows]
        return rows
    if isinstance(output, Mapping):
        columns = {str(name): to_json(values) for name, values in output.items()}
        lengths = {len(values) if isinstance(values, list) else None for values in columns.values()}
        if len(lengths) == 1 and None not in lengths:
            return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return [columns]
    rows = to_json(output)
    return rows if isinstance(rows, list) else [rows]


def to_json(value: Any) -> Any:
    """The value in JSON's terms: numbers that are not finite and whatever means missing become null."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "toarray"):  # scipy's sparse matrices
        value = value.toarray()
    if isinstance(value, np.ma.MaskedArray):
        if value.ndim > 0:
            return [to_json(item) for item in value]
        return None if np.ma.is_masked(value) else to_json(value.data[()])
    if isinstance(value, np.ndarray):
        return _array_to_json(value)
    if isinstance(value, (pd.Series, pd.Index)) or hasattr(value, "to_numpy"):
        return _array_to_json(value.to_numpy())
    if isinstance(value, np.generic):
        return to_json(None if pd.isna(value) else _item(value))
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, Mapping):
        return {str(name): to_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(item) for item in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return to_json(float(value))
    return str(value)


def _array_to_json(array: np.ndarray) -> Any:
    if array.dtype.kind in "biu":
        return array.tolist()
    if array.dtype.kind == "f" and np.isfinite(array).all():
        return array.astype(np.float64, copy=False).tolist()
    if array.ndim == 0:
        return to_json(array[()])
    return [to_json(item) for item in array]


def _item(value: np.generic) -> Any:
    if isinstance(value, np.datetime64):
        return pd.Timestamp(value).isoformat()
    item = value.item()
    # A longdouble's item is itself.
    return float(item) if isinstance(item, np.floating) else item
