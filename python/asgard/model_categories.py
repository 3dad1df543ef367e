"""Makes columns what they were in training: pandas' categories, which lightgbm and xgboost take, where JSON has texts.

A value that was none of the training's is a missing one, as in a DataFrame of these categories. scikit-learn's
histogram boosting takes texts as they are.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from asgard.model_inputs import InvalidInputError

Categories = dict[int, list[Any] | None]
"""The values of each column that was a category, by its number; None where they were not recorded."""


class CategoriesError(Exception):
    """The model cannot be given its categories. The message says why."""


def categories_of(estimator: Any) -> Categories:
    """What an estimator of lightgbm or xgboost was trained on, itself the one that is given the input.

    Raises CategoriesError when it has not recorded which columns they are of.
    """
    module = type(estimator).__module__.partition(".")[0]
    if module == "lightgbm":
        return _of_lightgbm(getattr(estimator, "booster_", estimator))
    if module == "xgboost" and hasattr(estimator, "get_booster"):
        return _of_xgboost(estimator.get_booster())
    return {}


def with_categories(frame: pd.DataFrame, categories: Categories) -> pd.DataFrame:
    """The same rows. Raises InvalidInputError for texts in a column whose categories are not known."""
    changed = frame.copy(deep=False)
    for number, values in categories.items():
        name = frame.columns[number]
        if values is not None:
            changed[name] = pd.Categorical(frame[name], categories=values)
        elif not pd.api.types.is_numeric_dtype(frame[name]):
            raise InvalidInputError(
                f"column '{name}' holds categories that the model has not recorded (xgboost does from version 3.1 on, "
                "when it is given pandas' categories): their numbers in its training are needed",
                ["inputs", str(name)],
            )
    return changed


def _of_lightgbm(booster: Any) -> Categories:
    values = getattr(booster, "pandas_categorical", None)
    if not values:
        return {}
    # The columns of a model that was trained in this process, and of one that was loaded.
    columns = booster.params.get("categorical_column", booster.params.get("categorical_feature"))
    if not isinstance(columns, list) or len(columns) != len(values):
        raise CategoriesError(
            "it was trained on pandas' categories and has not recorded of which columns, as lightgbm does for those "
            "without an order: encode them in a pipeline instead"
        )
    return dict(zip(sorted(columns), values, strict=True))


def _of_xgboost(booster: Any) -> Categories:
    columns = [number for number, type_ in enumerate(booster.feature_types or []) if type_ == "c"]
    if not columns:
        return {}
    recorded: list[Any] = []
    if hasattr(booster, "get_categories"):
        recorded = booster.get_categories(export_to_arrow=True).to_arrow() or []
    known = {number: values.to_pylist() for number, (_, values) in enumerate(recorded) if values is not None}
    return {number: known.get(number) for number in columns}
