"""Finds the tree ensembles that a model consists of, and what each of them is given of a request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from asgard_compile.ensemble import Ensemble, RefusedError
from asgard_compile.tree_converters import ensemble_of, is_tree_ensemble

# What they hold predicts nothing once they are fitted: it has chosen columns.
_CHOOSERS = ("SelectFromModel", "RFE", "RFECV", "SequentialFeatureSelector")
# Constructor's arguments that hold what is fitted; others hold what was cloned before it was.
_FITTED_ARGUMENTS = ("steps", "transformer_list")


class InnerEnsemble(NamedTuple):
    """Trees inside a model."""

    ensemble: Ensemble
    before: list[Any]
    """Fitted transformers that a request goes through, in their order, before it comes to the trees."""


def inner_ensembles(estimator: Any) -> list[InnerEnsemble]:
    """All of them. Raises RefusedError when there is one of which it is not known what it is given."""
    reached = list(_reached(estimator, []))
    known = {id(owner) for owner, _ in reached}
    for owner in _held(estimator, set()):
        if id(owner) not in known:
            raise RefusedError(f"it is not known what the trees of its inner {type(owner).__name__} are given")
    made = [(ensemble_of(owner), before) for owner, before in reached]
    return [InnerEnsemble(ensemble, before) for ensemble, before in made if ensemble is not None]


def _reached(estimator: Any, before: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
    if is_tree_ensemble(estimator):
        yield estimator, before
    elif hasattr(estimator, "best_estimator_"):
        yield from _reached(estimator.best_estimator_, before)
    elif isinstance(getattr(estimator, "steps", None), list):
        steps = [step for _, step in estimator.steps if hasattr(step, "fit")]
        if steps:
            yield from _reached(steps[-1], [*before, *steps[:-1]])
    else:
        for each in _given_the_same(estimator):
            yield from _reached(each, before)


def _given_the_same(estimator: Any) -> list[Any]:
    """The estimators inside it that are given what it is given itself."""
    name = type(estimator).__name__
    if name.startswith(("Voting", "Stacking", "AdaBoost", "OneVsRest")):
        return list(estimator.estimators_)
    if name.startswith("Bagging"):
        every = np.arange(estimator.n_features_in_)
        chosen = zip(estimator.estimators_, estimator.estimators_features_, strict=True)
        return [each for each, columns in chosen if np.array_equal(columns, every)]
    if name == "CalibratedClassifierCV":
        return [each.estimator for each in estimator.calibrated_classifiers_]
    return [estimator.regressor_] if hasattr(estimator, "regressor_") else []


def _held(held: Any, seen: set[int]) -> Iterator[Any]:
    """Fitted tree ensembles anywhere inside."""
    if id(held) in seen or isinstance(held, (str, bytes, type)):
        return
    seen.add(id(held))
    if isinstance(held, dict):
        held = list(held.values())
    if isinstance(held, np.ndarray):
        held = held.ravel().tolist() if held.dtype == object else []
    if isinstance(held, (list, tuple)):
        for each in held:
            yield from _held(each, seen)
        return
    kind = type(held)
    if is_tree_ensemble(held):
        if _is_fitted(held):
            yield held
    elif kind.__module__.startswith("sklearn.") and kind.__name__ not in _CHOOSERS and hasattr(held, "__dict__"):
        arguments = held.get_params(deep=False) if hasattr(held, "get_params") else {}
        for name, value in vars(held).items():
            if name not in arguments or name in _FITTED_ARGUMENTS:
                yield from _held(value, seen)


def _is_fitted(estimator: Any) -> bool:
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True
