"""Names that somebody may have meant."""

from __future__ import annotations

import random
import string
import time

from asgard.nearest import nearest_names


def test_names_that_hold_it_and_those_that_are_a_few_letters_away_are_found_the_nearest_first() -> None:
    names = ["gold.orders", "gold.odrers", "gold.customers", "silver.orders_of_all", "x"]
    assert nearest_names("gold.Orders", names, 3) == ["gold.orders", "gold.odrers"]
    assert nearest_names("orders", names, 3) == ["gold.orders", "silver.orders_of_all"]
    assert nearest_names("nothing", names) == []


def test_a_long_name_is_compared_with_ten_thousand_in_little_time() -> None:
    letters = random.Random(7)
    names = ["".join(letters.choices(string.ascii_lowercase, k=250)) for _ in range(10_000)]
    began = time.process_time()  # what others take of the machine meanwhile does not count
    assert nearest_names("gold." + "0" * 245, names) == []
    assert nearest_names(names[17][:-1] + "?", names) == [names[17]]
    assert time.process_time() - began < 10
