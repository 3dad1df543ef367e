from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from asgard_feast.retrieval import row_store
from asgard_feast.retrieval.key_numbers import KeyNumbers, as_key, common_type
from asgard_feast.retrieval.point_in_time import NEVER, PointInTimeJoin, TimedRows

SCHEMA = pa.schema({"number": pa.int32(), "text": pa.large_string(), "at": pa.timestamp("us", "UTC"), "is": pa.bool_()})


def values_of(numbers: np.ndarray) -> pa.RecordBatch:
    """Every seventh is null in each column."""
    number = pa.array(numbers, pa.int32(), mask=numbers % 7 == 0)
    text = pa.array([None if n % 7 == 0 else f"text {n}" for n in numbers], pa.large_string())
    at = number.cast(pa.int64()).cast(pa.timestamp("us", "UTC"))
    return pa.record_batch([number, text, at, pa.array([None if n % 7 == 0 else n % 2 == 1 for n in numbers])], SCHEMA)


def expected(entities: pd.DataFrame, rows: pd.DataFrame, max_age: int | None, known: bool) -> list[int | None]:
    """By its definition, one entity row at a time."""
    found = []
    for entity in entities.itertuples():
        fits = rows[(rows.key == entity.key) & (rows.time <= entity.time) & (rows.time != NEVER) & (entity.key >= 0)]
        if known:
            fits = fits[(fits.created <= entity.time) & (fits.created != NEVER)]
        fits = fits.sort_values(["time", "created", "order"])
        if max_age is not None:
            fits = fits[entity.time - fits.time <= max_age]
        found.append(None if fits.empty else int(fits.iloc[-1].order))
    return found


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("max_age", [None, 7])
def test_every_entity_row_gets_the_latest_row_up_to_its_time(
    known: bool, max_age: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_store, "_SPARE_ROWS", 0)  # so that replaced rows are dropped again and again
    random = np.random.default_rng(7)
    entities = pd.DataFrame({"key": random.integers(-1, 12, 300), "time": random.integers(0, 60, 300)})
    rows = pd.DataFrame({"key": random.integers(-1, 15, 2000), "time": random.integers(-20, 70, 2000)})
    rows["created"] = rows.time + random.integers(-5, 15, 2000)
    rows.loc[random.random(2000) < 0.05, "created"] = NEVER
    rows.loc[random.random(2000) < 0.05, "time"] = NEVER
    rows["order"] = np.arange(2000)

    join = PointInTimeJoin(entities.key.to_numpy(), entities.time.to_numpy(), SCHEMA, known)
    for start in range(0, 2000, 90):
        part = rows[start : start + 90]
        join.add(
            TimedRows(part.key.to_numpy(), part.time.to_numpy(), part.created.to_numpy(), values_of(part.order.values))
        )
    result = join.result(max_age)

    orders = expected(entities, rows, max_age, known)
    assert sum(order is not None for order in orders) > 50
    wanted = values_of(np.array([0 if order is None else order for order in orders]))  # number 0 has nulls
    assert result.to_pylist() == pa.Table.from_batches([wanted]).to_pylist()


def test_times_may_lie_as_far_apart_as_they_can_be_written() -> None:
    keys, times = np.array([1, 0, 1, 1]), np.array([2**62, 2**62, -(2**62), 5])
    join = PointInTimeJoin(keys, times, SCHEMA)
    join.add(TimedRows(np.array([1, 0, 1]), np.array([4, 2**62, -(2**62)]), None, values_of(np.array([1, 2, 3]))))
    assert join.result(None).column("number").to_pylist() == [1, 2, 3, 1]


def test_of_equal_rows_the_last_one_counts() -> None:
    join = PointInTimeJoin(np.array([0]), np.array([5]), SCHEMA)
    for numbers in ([1, 2], [3]):
        zeros = np.zeros(len(numbers), np.int64)
        join.add(TimedRows(zeros, zeros + 4, None, values_of(np.array(numbers))))
    assert join.result(None).column("number").to_pylist() == [3]


@pytest.mark.parametrize(
    ("entity", "table"),
    [
        (pa.array([3, 5, None, 3]), pa.array([5, 0, None, 3], pa.int32())),
        (pa.array([3.0, 5.0, 4.5, 3.0]), pa.array([5, 4, None, 3])),
        (pa.array([3, 5, 10**15, 3]), pa.array([5, 0, None, 3])),
        (pa.array(["a", "b", None, "a"]), pa.array(["b", "c", None, "a"], pa.large_string())),
        (pa.array(["a", "b", None, "a"]).dictionary_encode(), pa.array(["b", "c", None, "a"])),
    ],
)
def test_keys_of_different_types_are_the_same_when_they_are_equal(entity: pa.Array, table: pa.Array) -> None:
    key_type = common_type(entity.type, table.type)
    assert key_type is not None
    keys = KeyNumbers()
    numbers = keys.number([as_key(entity, key_type)], 4)
    found = keys.find([as_key(table, key_type)], 4)
    assert numbers[0] == numbers[3] == found[3]
    assert numbers[1] == found[0]
    assert not set(numbers[numbers >= 0]) & set(found[1:3])


def test_keys_of_two_columns_are_equal_in_both() -> None:
    keys = KeyNumbers()
    numbers = keys.number([pa.array([1, 1, 2, None]), pa.array(["a", "b", "a", "a"])], 4)
    found = keys.find([pa.array([2, 1, 2, None, 1]), pa.array(["a", "b", "b", "a", None])], 5)
    assert [number in numbers[numbers >= 0] for number in found] == [True, True, False, False, False]
    assert (found[0], found[1]) == (numbers[2], numbers[1])


def test_keys_that_can_never_be_equal_have_no_common_type() -> None:
    assert common_type(pa.string(), pa.int64()) is None
    assert common_type(pa.timestamp("us"), pa.int64()) is None
