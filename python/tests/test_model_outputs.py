from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from asgard.model_outputs import to_json, to_rows


@pytest.mark.parametrize(
    ("output", "rows"),
    [
        (np.array([1, 2]), [1, 2]),
        (np.array([[0.5, np.nan], [np.inf, 1]]), [[0.5, None], [None, 1.0]]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([1, None, "x", np.float32(0.5)], dtype=object), [1, None, "x", 0.5]),
        (np.array([True, False]), [True, False]),
        (np.array(["2025-01-02"], dtype="datetime64[ns]"), ["2025-01-02T00:00:00"]),
        (pd.Series([1.5, None]), [1.5, None]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Categorical(["a", "b"]), ["a", "b"]),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        (pd.DataFrame([[1, 2.5]]), [[1, 2.5]]),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), [[1, 2], [3, 4]]),
        (np.ma.array([1.5, 2.5], mask=[False, True]), [1.5, None]),
        (np.ma.array([1, 2], mask=[True, True]), [None, None]),
        (np.ma.array([[0.5, 1.5]], mask=[[True, True]]), [[None, None]]),
        ([np.ma.masked, 1], [None, 1]),
        ({"a": np.array([1, 2]), "b": [3, 4]}, [{"a": 1, "b": 3}, {"a": 2, "b": 4}]),
        ({"a": [1, 2], "b": "x"}, [{"a": [1, 2], "b": "x"}]),
        (np.float64(2), [2.0]),
        ("text", ["text"]),
        ([b"\x00", pd.NaT, pd.Timestamp("2025-01-02"), np.int64(1)], ["AA==", None, "2025-01-02T00:00:00", 1]),
    ],
)
def test_every_output_becomes_rows_that_json_carries(output: Any, rows: list[Any]) -> None:
    result = to_rows(output)
    assert result == rows
    assert json.loads(json.dumps(result, allow_nan=False)) == rows


def test_float32_keeps_its_value() -> None:
    assert to_json(np.array([0.1], dtype="float32")) == [float(np.float32(0.1))]
    assert to_json(np.array([np.longdouble(0.5)])) == [0.5]
