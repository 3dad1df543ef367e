from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from asgard.model_inputs import Column, InputSpec, InvalidInputError, to_frame

NAMED = InputSpec(columns=[Column("age", "double"), Column("plan", "string"), Column("visits", "integer")])


def refused(inputs: Any, spec: InputSpec) -> tuple[str, list[str | int]]:
    with pytest.raises(InvalidInputError) as caught:
        to_frame(inputs, spec)
    return str(caught.value), caught.value.path


def test_columns_come_in_the_models_order_and_types() -> None:
    frame = to_frame({"visits": [1, 2.0], "plan": ["a", None], "age": [3, None]}, NAMED)
    assert list(frame.columns) == ["age", "plan", "visits"]
    assert [str(dtype) for dtype in frame.dtypes] == ["float64", "object", "int32"]
    assert frame["plan"].tolist() == ["a", None]
    assert frame["age"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("inputs", "message", "path"),
    [
        (None, "inputs must be an object of columns, not null", ["inputs"]),
        ({}, "inputs has no column", ["inputs"]),
        ({"age": 3}, "column 'age' must be a list with a value for each row, not 3", ["inputs", "age"]),
        ({"age": []}, "column 'age' has no row", ["inputs", "age"]),
        (
            {"agee": [1], "plan": ["a"], "visits": [1]},
            "missing column 'age' (nearest given: 'agee'); unknown column 'agee' (nearest expected: 'age')",
            ["inputs", "age"],
        ),
        ({"age": [1]}, "missing columns 'plan', 'visits'", ["inputs"]),
        (
            {"age": [1], "plan": ["a"], "visits": [1], "visit": [1]},
            "unknown column 'visit' (nearest expected: 'visits')",
            ["inputs", "visit"],
        ),
        (
            {"age": [1, 2], "plan": ["a"], "visits": [1, 2]},
            "columns differ in length: 'age' has 2 values, 'plan' has 1",
            ["inputs", "plan"],
        ),
        (
            {"age": [1, "old"], "plan": ["a", "b"], "visits": [1, 2]},
            "column 'age', row 1: a number is expected, not the text 'old'",
            ["inputs", "age", 1],
        ),
        (
            {"age": [True], "plan": ["a"], "visits": [1]},
            "column 'age', row 0: a number is expected, not true",
            ["inputs", "age", 0],
        ),
        (
            {"age": [1], "plan": [7], "visits": [1]},
            "column 'plan', row 0: a text is expected, not 7",
            ["inputs", "plan", 0],
        ),
        (
            {"age": [1], "plan": ["a"], "visits": [1.5]},
            "column 'visits', row 0: a whole number is expected, not 1.5",
            ["inputs", "visits", 0],
        ),
        (
            {"age": [1], "plan": ["a"], "visits": [None]},
            "column 'visits', row 0: a whole number is expected, not null",
            ["inputs", "visits", 0],
        ),
        (
            {"age": [1], "plan": ["a"], "visits": [2**31]},
            "column 'visits', row 0: a whole number from -2147483648 to 2147483647 is expected, not 2147483648",
            ["inputs", "visits", 0],
        ),
        (
            {"age": [10**400], "plan": ["a"], "visits": [1]},
            "column 'age', row 0: a number from -1.79769e+308 to 1.79769e+308 is expected, not "
            "1000000000000000000000000000000000000000",
            ["inputs", "age", 0],
        ),
    ],
)
def test_what_is_wrong_is_named(inputs: Any, message: str, path: list[str | int]) -> None:
    assert refused(inputs, NAMED) == (message, path)


def test_of_many_wrong_names_the_first_are_told() -> None:
    many = {f"column {number}": [1] for number in range(20_000)}
    message, path = refused(many, InputSpec(columns=[Column(f"expected {number}", None) for number in range(20_000)]))
    assert path == ["inputs"]
    assert message.startswith("missing columns 'expected 0'")
    assert message.endswith(" and 19990 more")
    assert len(message) < 2000


def test_a_long_name_is_told_by_its_beginning() -> None:
    message, path = refused({"x" * 1_000_000: [1], "age": [1], "plan": ["a"], "visits": [1]}, NAMED)
    assert message == f"unknown column '{'x' * 100}…'"
    assert path == ["inputs", "x" * 1_000_000]


def test_names_that_look_the_same_are_told_apart() -> None:
    spec = InputSpec(columns=[Column("größe", None)])
    assert refused({"gro\u0308ße": [1]}, spec)[0] == (
        "missing column 'größe' (given in another Unicode normal form); "
        "unknown column 'gro\u0308ße' (expected in another Unicode normal form)"
    )


def test_an_optional_column_may_be_left_out() -> None:
    spec = InputSpec(columns=[Column("a", "double"), Column("b", "double", is_required=False)])
    assert list(to_frame({"a": [1]}, spec).columns) == ["a"]


def test_times_and_binaries_come_as_text() -> None:
    spec = InputSpec(columns=[Column("at", "datetime"), Column("data", "binary"), Column("ok", "boolean")])
    frame = to_frame({"at": ["2025-01-02T03:04:05+01:00"], "data": ["AAE="], "ok": [True]}, spec)
    assert frame["at"][0] == pd.Timestamp("2025-01-02T02:04:05")
    assert frame["data"][0] == b"\x00\x01"
    assert refused({"at": ["soon"], "data": ["AAE="], "ok": [True]}, spec)[1] == ["inputs", "at", 0]
    assert refused({"at": ["2025-01-02"], "data": ["?"], "ok": [True]}, spec)[1] == ["inputs", "data", 0]
    assert refused({"at": ["2025-01-02"], "data": ["AAE="], "ok": [1]}, spec)[1] == ["inputs", "ok", 0]


def test_numbers_of_any_kind_are_taken_where_no_type_is_known() -> None:
    spec = InputSpec(columns=[Column(name, None) for name in "abcde"], is_numeric=True)
    frame = to_frame({"a": [1, 2], "b": [1, 2.5], "c": [True, False], "d": [None, 1], "e": [2**70, True]}, spec)
    assert [str(dtype) for dtype in frame.dtypes] == ["int64", "float64", "bool", "float64", "float64"]
    assert refused({**{name: [1] for name in "abcd"}, "e": ["1"]}, spec)[1] == ["inputs", "e", 0]


def test_columns_without_names_are_counted() -> None:
    spec = InputSpec(count=2, types=["double", "string"])
    assert to_frame({"x": [1], "y": ["a"]}, spec).shape == (1, 2)
    assert "takes 2 columns" in refused({"x": [1]}, spec)[0]
    assert refused({"x": [1], "y": [2]}, spec)[1] == ["inputs", "y", 0]


def test_columns_without_names_may_be_numbered_but_not_in_part() -> None:
    spec = InputSpec(count=3)
    assert to_frame({"2": [3], "0": [1], "1": [2]}, spec).to_numpy().tolist() == [[1, 2, 3]]
    assert to_frame({"b": [1], "a": [2], "01": [3]}, spec).to_numpy().tolist() == [[1, 2, 3]]
    for names in (["0", "1", "a"], ["1", "2", "3"], ["0", "1", "10"]):
        message, path = refused({name: [1] for name in names}, spec)
        assert path == ["inputs"]
        assert "they must be '0' to '2'" in message


@pytest.mark.parametrize("time", ["3000-01-01", "0001-01-01", "99999999999999999999", "2025-02-30", "2262-04-12"])
def test_a_time_that_is_none_or_too_far_away_is_told_by_its_row(time: str) -> None:
    message, path = refused({"at": ["2025-01-02", time]}, InputSpec(columns=[Column("at", "datetime")]))
    assert path == ["inputs", "at", 1]
    assert time in message


@pytest.mark.parametrize(
    "values",
    [
        [1.5, 2.0],
        [1, 2],
        [True, False],
        [1, 2.5],
        [1, None],
        [1.5, None],
        [True, None],
        [True, 1],
        ["a", "b"],
        ["a", None],
        ["a", 1],
        [2**63],
        [-(2**63)],
        [2**70],
        [None],
        [[1, 2], [3]],
        [{"a": 1}],
    ],
)
def test_values_of_no_known_type_get_the_one_that_pandas_finds(values: list[Any]) -> None:
    frame = to_frame({"x": values, "y": values}, InputSpec(columns=[Column("x", None), Column("y", None)]))
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"x": pd.Series(values), "y": pd.Series(values)}))


def test_columns_of_one_type_and_of_several_make_the_same_frame() -> None:
    columns = [Column("x", "double"), Column("y", "double"), Column("z", None)]
    numbers = {"x": [1, 2.5], "y": [None, -1.0]}
    alone = to_frame(numbers, InputSpec(columns=columns[:2]))
    beside = to_frame({**numbers, "z": ["a", "b"]}, InputSpec(columns=columns))
    pd.testing.assert_frame_equal(alone, beside[["x", "y"]])
    pd.testing.assert_frame_equal(alone, pd.DataFrame({"x": [1.0, 2.5], "y": [math.nan, -1.0]}))
