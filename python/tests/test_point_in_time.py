from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from asgard_feast.retrieval.clock import NEVER
from asgard_feast.retrieval.key_numbers import KeyNumbers, as_key, common_type
from asgard_feast.retrieval.point_in_time import PointInTimeJoin, TimedRows


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


def numbers(join: PointInTimeJoin, max_age: int | None = None) -> list[int | None]:
    """The number of each entity row's row."""
    found = join.found(max_age)
    assert found.numbers.tolist() == sorted(set(found.numbers.tolist()))
    assert set(found.of_entities.tolist()) - {-1} == set(range(len(found.numbers)))
    return [None if position < 0 else int(found.numbers[position]) for position in found.of_entities]


@pytest.mark.parametrize("has_created", [False, True])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("max_age", [None, 7])
def test_every_entity_row_gets_the_latest_row_up_to_its_time(
    known: bool, max_age: int | None, has_created: bool
) -> None:
    random = np.random.default_rng(7)
    entities = pd.DataFrame({"key": random.integers(-1, 12, 300), "time": random.integers(0, 60, 300)})
    rows = pd.DataFrame({"key": random.integers(-1, 12, 2000), "time": random.integers(-20, 70, 2000)})
    rows["created"] = rows.time + random.integers(-5, 15, 2000)
    rows.loc[random.random(2000) < 0.05, "created"] = NEVER
    rows.loc[random.random(2000) < 0.05, "time"] = NEVER
    if not has_created:
        rows["created"] = 0
    rows["order"] = np.arange(2000)

    join = PointInTimeJoin(entities.key.to_numpy(), entities.time.to_numpy(), known)

    def add(start: int) -> None:
        part = rows[start : start + 90]
        created = part.created.to_numpy() if has_created else None
        join.add(TimedRows(start, part.key.to_numpy(), part.time.to_numpy(), created))

    with ThreadPoolExecutor(4) as threads:  # the order in which parts come does not matter
        list(threads.map(add, random.permutation(np.arange(0, 2000, 90)).tolist()))

    wanted = expected(entities, rows, max_age, known and has_created)
    assert sum(order is not None for order in wanted) > 50
    assert numbers(join, max_age) == wanted


def test_times_may_lie_as_far_apart_as_they_can_be_written() -> None:
    keys, times = np.array([1, 0, 1, 1]), np.array([2**62, 2**62, -(2**62), 5])
    join = PointInTimeJoin(keys, times)
    join.add(TimedRows(1, np.array([1, 0, 1]), np.array([4, 2**62, -(2**62)]), None))
    assert numbers(join) == [1, 2, 3, 1]


@pytest.mark.parametrize("times", [[NEVER, 9, NEVER], [NEVER] * 3])
def test_the_table_may_have_keys_of_which_all_entity_rows_lack_a_time(times: list[int]) -> None:
    join = PointInTimeJoin(np.array([1, 0, 2]), np.array(times))
    join.add(TimedRows(0, np.array([-1, 0, 1, 2]), np.array([5, 6, 7, 8]), None))
    assert numbers(join) == [None, None if times[1] == NEVER else 1, None]


def test_of_equal_rows_the_last_one_counts_though_it_may_come_first() -> None:
    join = PointInTimeJoin(np.array([0]), np.array([5]))
    for first, count in ((0, 2), (7, 1), (5, 2)):
        zeros = np.zeros(count, np.int64)
        join.add(TimedRows(first, zeros, zeros + 4, None))
    assert numbers(join) == [7]


@pytest.mark.parametrize(
    ("entity", "table"),
    [
        (pa.array([3, 5, None, 3]), pa.array([5, 0, None, 3], pa.int32())),
        (pa.array([3.0, 5.0, 4.5, 3.0]), pa.array([5, 4, None, 3])),
        (pa.array([3, 5, 10**15, 3]), pa.array([5, 0, None, 3])),
        (pa.array([2**63 - 9, 2**63 - 7, None, 2**63 - 9]), pa.array([2**63 - 7, -(2**63), None, 2**63 - 9])),
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
