from __future__ import annotations

import pytest

from asgard.model_batch import said_by


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no such row"), "ValueError: no such row"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 3_988), "ValueError: " + "x" * 3_988),
        (ValueError("x" * 1_000_000), "ValueError: " + "x" * 3_988 + "…"),
    ],
)
def test_what_an_exception_says_is_one_text_of_a_bounded_length(error: Exception, said: str) -> None:
    assert said_by(error) == said
