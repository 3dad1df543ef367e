from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import joblib
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from asgard.model_inputs import to_frame
from asgard.model_loading import ModelLoadError, load_folder

FRAME = pd.DataFrame({"age": [1.0, 2, 3, 4] * 5, "visits": [4, 3, 2, 1] * 5})
TARGET = [0, 0, 1, 1] * 5


@pytest.mark.parametrize(
    ("model", "is_numeric"),
    [
        (RandomForestClassifier(n_estimators=2), True),
        (HistGradientBoostingClassifier(max_iter=2), True),
        (make_pipeline(StandardScaler(), LogisticRegression()), True),
        (make_pipeline("passthrough", LogisticRegression()), True),
        (GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2), True),
        # These may take text, so nothing is refused in advance.
        (HistGradientBoostingClassifier(max_iter=2, categorical_features=["age"]), False),
        (make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()), False),
        (make_pipeline(ColumnTransformer([("a", OneHotEncoder(), ["age"])]), LogisticRegression()), False),
        (make_pipeline(FunctionTransformer(), LogisticRegression()), False),
        (VotingClassifier([("a", make_pipeline(OneHotEncoder(), LogisticRegression()))]), False),
    ],
)
def test_an_estimator_is_known_to_take_numbers_only_where_that_is_sure(
    tmp_path: Path, model: Any, is_numeric: bool
) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model.fit(FRAME, TARGET)))
    loaded = load_folder(tmp_path)
    assert loaded.inputs.is_numeric is is_numeric
    assert [column.name for column in loaded.inputs.columns or []] == ["age", "visits"]
    assert len(loaded.predict(FRAME)) == 20


def test_probabilities_are_there_only_when_the_model_gives_them(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(SVC().fit(FRAME, TARGET)))
    assert load_folder(tmp_path).predict_probabilities is None


def test_a_file_that_joblib_wrote_is_loaded(tmp_path: Path) -> None:
    joblib.dump(LogisticRegression().fit(np.ones((4, 2)), [0, 0, 1, 1]), tmp_path / "some.pkl")
    assert load_folder(tmp_path / "some.pkl").inputs.count == 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "there is neither an MLmodel nor a pickle among the files: none"),
        ({"notes.txt": b""}, "there is neither an MLmodel nor a pickle among the files: notes.txt"),
        ({"a.pkl": b"", "b.pkl": b""}, "there are several pickles and none is model.pkl: a.pkl, b.pkl"),
        ({"model.pkl": pickle.dumps({"model": 1})}, "model.pkl holds a dict, which has no predict method"),
        ({"model.pkl": b"c__main__\nChurnModel\n."}, "was defined in the training script itself"),
    ],
)
def test_what_is_no_model_says_what_it_is(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelLoadError, match=message):
        load_folder(tmp_path)


def test_a_broken_pickle_fails_with_pickles_own_words(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"junk")
    with pytest.raises(pickle.UnpicklingError):
        load_folder(tmp_path)


SIGNED = pd.DataFrame(
    {
        "visits": np.array([1, 2, 3, 4] * 5, dtype="int64"),
        "spend": np.linspace(0.1, 90.5, 20),
        "plan": ["a", "b", "c", "b"] * 5,
        "open": [True, False] * 10,
    }
)
CHURNED = np.array([0, 1, 1, 0] * 5)


@pytest.mark.parametrize(("predict_fn", "gives_rows"), [("predict", False), ("predict_proba", True)])
def test_a_model_of_scikit_learn_with_a_signature_answers_as_by_mlflows_wrapper(
    tmp_path: Path, predict_fn: str, gives_rows: bool
) -> None:
    encoded = ColumnTransformer([("plan", OneHotEncoder(), ["plan"])], remainder="passthrough")
    model = make_pipeline(encoded, RandomForestClassifier(5, random_state=0)).fit(SIGNED, CHURNED)
    mlflow.sklearn.save_model(
        model,
        str(tmp_path / "model"),
        signature=infer_signature(SIGNED, getattr(model, predict_fn)(SIGNED)),
        pyfunc_predict_fn=predict_fn,
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
    loaded = load_folder(tmp_path / "model")
    frame = to_frame(SIGNED.to_dict("list"), loaded.inputs)
    answer = loaded.predict(frame)
    assert np.array_equal(answer, mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(SIGNED))
    assert (np.ndim(answer) == 2) is gives_rows
