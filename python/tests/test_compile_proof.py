from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from asgard_compile.ensemble import RefusedError
from asgard_compile.layout import Rows
from asgard_compile.proof import Answer, Proof


def compared(one: list[Any], other: list[Any], chances: tuple[Any, Any] | None = None) -> Proof:
    """What comes of two models that say these for as many rows."""

    def saying(predictions: list[Any], probabilities: Any) -> Any:
        def ask(rows: Rows) -> Answer:
            assert len(rows["x"]) == len(predictions)
            return predictions, None if probabilities is None else np.asarray(probabilities)

        return ask

    first, second = chances or (None, None)
    proof = Proof(saying(one, first), saying(other, second))
    proof.compare("generated", {"x": list(range(len(one)))})
    return proof


def test_each_number_is_compared_with_its_own_size_however_large_others_are() -> None:
    proof = compared([1e6, 0.01], [1e6 * (1 + 9e-6), 0.01 * (1 + 9e-6)])
    assert proof.largest_difference == pytest.approx(9e-6, rel=1e-3)
    with pytest.raises(RefusedError, match=r"a prediction is 0\.01, compiled 0\.0101"):
        compared([1e6, 0.01], [1e6, 0.0101])
    with pytest.raises(RefusedError):
        compared([1e6, 1.0], [1e6, 1.00002])


def test_next_to_zero_the_rounding_of_doubles_is_let_pass_and_nothing_else() -> None:
    compared([1.0, 0.0], [1.0, 9e-13])
    with pytest.raises(RefusedError):
        compared([1.0, 0.0], [1.0, 1e-11])


def test_a_small_probability_is_compared_with_the_largest_of_its_own_row() -> None:
    compared([0], [0], ([[0.999, 0.001]], [[0.999, 0.0010002]]))
    with pytest.raises(RefusedError, match="a probability is"):
        compared([0], [0], ([[0.999, 0.001]], [[0.999, 0.0010004]]))


def test_labels_have_to_be_equal_and_of_one_type() -> None:
    with pytest.raises(RefusedError, match="it says 1, compiled 0, for x = 1"):
        compared([0, 1], [0, 0])
    with pytest.raises(RefusedError):
        compared([True], [1])
