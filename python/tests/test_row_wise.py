from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from asgard.row_wise import is_row_wise


class Own(LogisticRegression):
    """Defined by whoever trained it: it may do anything."""


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (RandomForestClassifier(), True),
        (make_pipeline(StandardScaler(), LogisticRegression()), True),
        (make_pipeline(ColumnTransformer([("a", OneHotEncoder(), ["x"])]), LogisticRegression()), True),
        (GridSearchCV(LogisticRegression(), {"C": [1, 2]}), True),
        (make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()), True),
        (make_pipeline(FunctionTransformer(lambda frame: frame - frame.mean()), LogisticRegression()), False),
        (Own(), False),
        (make_pipeline(StandardScaler(), Own()), False),
        (VotingClassifier([("a", LogisticRegression()), ("b", Own())]), False),
        (None, False),
        (len, False),
    ],
)
def test_only_what_surely_predicts_row_by_row_is_merged(model: Any, expected: bool) -> None:
    assert is_row_wise(model) is expected
