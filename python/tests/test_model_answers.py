from __future__ import annotations

import json
from typing import Any

import pytest

from asgard import model_answers
from asgard.model_answers import encoded

GOOD: dict[str, Any] = {"predictions": [2**64, "\ud83d"], "probabilities": None}


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def test_answers_are_written_with_every_digit_and_half_of_a_letter() -> None:
    assert json.loads(encoded([GOOD, GOOD])) == [GOOD, GOOD]


@pytest.mark.parametrize("predictions", [[10**5000], [float("nan")], nested(100_000), [object()]])
def test_an_answer_that_cannot_be_written_is_an_error_of_its_request_alone(predictions: Any) -> None:
    first, second = json.loads(encoded([GOOD, {"predictions": predictions, "probabilities": None}]))
    assert first == GOOD
    assert second["error"]["kind"] == "failed"
    assert second["error"]["message"].startswith("its answer cannot be written as JSON: ")


def test_an_answer_that_is_too_long_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_answers, "MOST_BYTES", 2**20)
    long = {"predictions": ["x" * 2**20], "probabilities": None}
    first, second = json.loads(encoded([GOOD, long]))
    assert first == GOOD
    assert second["error"]["path"] == ["inputs"]
    assert "ask for fewer rows at once" in second["error"]["message"]
