from __future__ import annotations

import pickle
import threading
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from asgard.one_thread import use_one_thread

ROWS = np.random.default_rng(0).normal(size=(200, 3))
TARGET = (ROWS[:, 0] > 0).astype(int)


class _Wrapper:
    """A model of a user's own."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def predict(self, rows: Any) -> Any:
        return self.inner.predict(rows)


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(10, random_state=0, n_jobs=8)


MODELS = {
    "alone": forest(),
    "pipeline": make_pipeline(StandardScaler(), forest()),
    "members": VotingClassifier([("one", forest()), ("other", BaggingClassifier(forest(), n_estimators=2, n_jobs=4))]),
}


def threads_started(monkeypatch: pytest.MonkeyPatch, model: Any) -> tuple[int, list[Any]]:
    """How many threads it starts to predict, and what it says."""
    started: list[threading.Thread] = []
    start = threading.Thread.start
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: (started.append(thread), start(thread)))
        said = model.predict(ROWS).tolist()
    return len(started), said


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_model_that_was_trained_with_many_threads_predicts_the_same_with_one(
    monkeypatch: pytest.MonkeyPatch, name: str, is_wrapped: bool
) -> None:
    model = pickle.loads(pickle.dumps(MODELS[name].fit(ROWS, TARGET)))
    model = _Wrapper(model) if is_wrapped else model
    before, said = threads_started(monkeypatch, model)
    assert before >= 4
    use_one_thread(model)
    assert threads_started(monkeypatch, model) == (0, said)


def test_what_leaves_the_number_to_others_is_left_alone_and_cycles_end() -> None:
    model = _Wrapper(RandomForestClassifier(2).fit(ROWS, TARGET))
    model.itself = model
    use_one_thread(model)
    assert model.inner.n_jobs is None
