from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from asgard.model_categories import CategoriesError, categories_of, with_categories
from asgard.model_inputs import InvalidInputError

FRAME = pd.DataFrame({"age": [30, 40, 50], "plan": ["pro", "gold", None]})


class FakeBooster(SimpleNamespace):
    """Has what a Booster of lightgbm tells; real ones are in the tests of whole models."""

    __module__ = "lightgbm.basic"


class FakeClassifier:
    """A classifier of an xgboost that has not recorded its categories."""

    __module__ = "xgboost.sklearn"

    def get_booster(self) -> Any:
        return SimpleNamespace(feature_types=["int", "c"], get_categories=lambda export_to_arrow: NoCategories())


class NoCategories:
    def to_arrow(self) -> list[Any]:
        return [("age", None), ("plan", None)]


def test_a_value_that_was_not_there_in_training_is_missing_as_null_is() -> None:
    booster = FakeBooster(pandas_categorical=[["free", "pro"]], params={"categorical_column": [1]})
    made = with_categories(FRAME, categories_of(booster))
    assert made["plan"].cat.categories.tolist() == ["free", "pro"]
    assert made["plan"].cat.codes.tolist() == [1, -1, -1]
    assert (made["age"].tolist(), FRAME["plan"].tolist()) == ([30, 40, 50], ["pro", "gold", None])


def test_a_model_without_categories_is_given_what_there_is() -> None:
    assert categories_of(FakeBooster(pandas_categorical=None, params={})) == {}
    assert categories_of(object()) == {}


def test_categories_of_which_the_columns_are_not_recorded_are_refused() -> None:
    booster = FakeBooster(pandas_categorical=[["s", "m"], ["free", "pro"]], params={"categorical_column": [1]})
    with pytest.raises(CategoriesError, match="has not recorded of which columns"):
        categories_of(booster)


def test_texts_for_categories_that_are_not_recorded_are_refused_and_their_numbers_taken() -> None:
    categories = categories_of(FakeClassifier())
    with pytest.raises(
        InvalidInputError, match="column 'plan' holds categories that the model has not recorded"
    ) as got:
        with_categories(FRAME, categories)
    assert got.value.path == ["inputs", "plan"]
    numbers = FRAME.assign(plan=[0, 1, 0])
    assert with_categories(numbers, categories).equals(numbers)
