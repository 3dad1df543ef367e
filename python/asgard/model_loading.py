"""Makes of a model's files something that predicts: MLflow's pyfunc models and the guide's pickles."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from asgard.model_categories import Categories, CategoriesError, categories_of, with_categories
from asgard.model_inputs import PLAIN_TYPES, Column, InputSpec, InvalidInputError

_ENDINGS = (".pkl", ".joblib")
WRAPS = "asgard_wraps"
"""In the metadata of an MLmodel that the platform wrote: the pickle beside it."""


class ModelLoadError(Exception):
    """The files are no model that can be served. The message says what is there instead."""


class LoadedModel(NamedTuple):
    """A model in memory. `predict_probabilities` is None when the model gives none.

    Both take the DataFrame that `to_frame` makes by `inputs`, and raise InvalidInputError when the model's own check of
    its input refuses it, and else whatever the model raises.
    """

    flavor: Literal["pickle", "pyfunc"]
    kind: str
    inputs: InputSpec
    predict: Callable[[pd.DataFrame], Any]
    predict_probabilities: Callable[[pd.DataFrame], Any] | None
    raw: Any
    """What was pickled, or what MLflow's flavor loaded; None where that is not to be had."""
    path: Path
    """The pickle, or the folder with the MLmodel."""
    metadata: Any = None
    """The MLmodel, as MLflow's Model; None of a pickle."""
    pickled_with: Literal["pickle", "joblib"] | None = None
    """What reads the pickle; None of a model of MLflow's."""


def load_folder(path: Path) -> LoadedModel:
    """Loads what lies in a folder, or a pickle.

    An MLmodel that the platform wrote beside a pickle, for others, adds nothing to the pickle: it is not heeded, so
    that a model is served as it was trained whether it was there yet or not.
    """
    if (path / "MLmodel").is_file():
        wrapped = _wrapped_pickle(path)
        return _load_pyfunc(path) if wrapped is None else _load_pickle(path / wrapped)
    return _load_pickle(_find_pickle(path))


def _wrapped_pickle(path: Path) -> str | None:
    from mlflow.models import Model

    name = (Model.load(str(path)).metadata or {}).get(WRAPS)
    return name if isinstance(name, str) and (path / name).is_file() else None


def _find_pickle(path: Path) -> Path:
    """The pickle itself; `model.pkl` or `model.joblib` in a folder, or the only file of such an ending below it."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise ModelLoadError(f"there is nothing at {path}")
    for ending in _ENDINGS:
        if (path / f"model{ending}").is_file():
            return path / f"model{ending}"
    pickles = sorted(found for found in path.rglob("*") if found.suffix in _ENDINGS and found.is_file())
    if len(pickles) == 1:
        return pickles[0]
    if pickles:
        names = ", ".join(str(found.relative_to(path)) for found in pickles[:10])
        raise ModelLoadError(f"there are several pickles and none is model.pkl: {names}")
    files = [str(found.relative_to(path)) for found in sorted(path.rglob("*")) if found.is_file()]
    raise ModelLoadError(f"there is neither an MLmodel nor a pickle among the files: {', '.join(files[:10]) or 'none'}")


def _load_pickle(path: Path) -> LoadedModel:
    model, pickled_with = _unpickle(path)
    if not callable(getattr(model, "predict", None)):
        raise ModelLoadError(f"{path.name} holds a {type(model).__name__}, which has no predict method")
    return LoadedModel(
        flavor="pickle",
        kind=type(model).__name__,
        inputs=_inputs_of_estimator(model),
        predict=_predict_of(model),
        predict_probabilities=_probabilities_of(model),
        raw=model,
        path=path,
        pickled_with=pickled_with,
    )


def _unpickle(path: Path) -> tuple[Any, Literal["pickle", "joblib"]]:
    try:
        with path.open("rb") as file:
            return pickle.load(file), "pickle"
    except AttributeError as error:
        if "__main__" not in str(error):
            raise
        raise ModelLoadError(
            f"{path.name} needs a class or function that was defined in the training script itself ({error}); "
            "save the model with mlflow.pyfunc.log_model, or define it in an installed package"
        ) from error
    except Exception:
        # joblib's files carry the same ending but, where they hold arrays, are no plain pickles. If this fails too, the
        # first error tells more.
        with contextlib.suppress(Exception):
            import joblib

            return joblib.load(path), "joblib"
        raise


def _load_pyfunc(path: Path) -> LoadedModel:
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(path))
    raw: Any = None
    # Flavors without one say so by different exceptions.
    with contextlib.suppress(Exception):
        raw = model.get_raw_model()
    schema = model.metadata.get_input_schema()
    inputs = _inputs_of_estimator(raw) if schema is None else _inputs_of_schema(schema)

    if raw is not None and (_wrapper_adds_nothing(model.metadata, inputs) or _wrapper_takes_no_categories(model, raw)):
        predict = _predict_of(raw)
    else:
        predict = _predict_by_wrapper(model, raw)
    return LoadedModel(
        flavor="pyfunc",
        kind=type(raw if raw is not None else model).__name__,
        inputs=inputs,
        predict=predict,
        predict_probabilities=_probabilities_of(raw),
        raw=raw,
        path=path,
        metadata=model.metadata,
    )


def _wrapper_adds_nothing(metadata: Any, inputs: InputSpec) -> bool:
    """Whether MLflow's wrapper would only look at each row once more, which takes it as long as a small model's answer.

    So it is with scikit-learn's `predict` and columns all of which `to_frame` gives the signature's own types.
    """
    flavor = metadata.flavors.get("python_function", {})
    if flavor.get("loader_module") != "mlflow.sklearn" or flavor.get("predict_fn", "predict") != "predict":
        return False
    schema, columns = metadata.get_input_schema(), inputs.columns
    if schema is None or schema.is_tensor_spec() or columns is None or metadata.get_params_schema() is not None:
        return False
    return all(column.is_required and column.type in PLAIN_TYPES for column in columns)


def _wrapper_takes_no_categories(model: Any, raw: Any) -> bool:
    """Whether MLflow's wrapper would refuse the only columns that the model takes: to it categories are no texts."""
    flavor = model.metadata.flavors.get("python_function", {})
    is_its_own = flavor.get("loader_module") in ("mlflow.sklearn", "mlflow.lightgbm", "mlflow.xgboost")
    return is_its_own and flavor.get("predict_fn", "predict") == "predict" and bool(_categories_of(_front(raw)))


def _predict_of(model: Any) -> Callable[[pd.DataFrame], Any]:
    as_trained = _as_trained(model)
    return lambda frame: model.predict(as_trained(frame))


def _predict_by_wrapper(model: Any, raw: Any) -> Callable[[pd.DataFrame], Any]:
    from mlflow.exceptions import MlflowException

    has_schema = model.metadata.get_input_schema() is not None
    as_trained = _as_trained(raw)

    def predict(frame: pd.DataFrame) -> Any:
        try:
            return model.predict(frame if has_schema else as_trained(frame))
        except MlflowException as error:
            if str(error).startswith("Failed to enforce schema"):
                raise InvalidInputError(str(error).rpartition("Error: ")[2], ["inputs"]) from error
            raise

    return predict


def _probabilities_of(estimator: Any) -> Callable[[pd.DataFrame], Any] | None:
    if not callable(getattr(estimator, "predict_proba", None)):
        return None
    as_trained = _as_trained(estimator)
    return lambda frame: estimator.predict_proba(as_trained(frame))


def _as_trained(estimator: Any) -> Callable[[pd.DataFrame], Any]:
    """Makes of a DataFrame what the estimator was fitted to.

    An array where it knows no names, so that it need not warn about them; categories where it had such. Raises
    ModelLoadError when it cannot be given them.
    """
    front = _front(estimator)
    if hasattr(front, "n_features_in_") and not hasattr(front, "feature_names_in_"):
        return lambda frame: frame.to_numpy()
    categories = _categories_of(front)
    return (lambda frame: with_categories(frame, categories)) if categories else (lambda frame: frame)


def _categories_of(front: Any) -> Categories:
    try:
        return categories_of(front)
    except CategoriesError as error:
        raise ModelLoadError(str(error)) from error


def _front(estimator: Any) -> Any:
    """The estimator that is given the input itself: the best of a search, the first step of a Pipeline that acts."""
    if hasattr(estimator, "best_estimator_"):
        return _front(estimator.best_estimator_)
    if isinstance(getattr(estimator, "steps", None), list):
        steps = [step for _, step in estimator.steps if hasattr(step, "fit")]
        return _front(steps[0]) if steps else estimator
    return estimator


def _inputs_of_schema(schema: Any) -> InputSpec:
    """From MLflow's Schema: of columns, with names or without, or of tensors."""
    if schema.is_tensor_spec():
        if schema.has_input_names():
            return InputSpec(columns=[Column(spec.name, _tensor_type(spec)) for spec in schema.inputs])
        shape = schema.inputs[0].shape
        if len(shape) == 2 and shape[1] > 0:
            return InputSpec(count=shape[1], types=[str(schema.inputs[0].type)] * shape[1])
        return InputSpec(count=1, types=[_tensor_type(schema.inputs[0])])
    types = [getattr(column.type, "name", None) or str(column.type) for column in schema.inputs]
    if not schema.has_input_names():
        return InputSpec(count=len(types), types=types)
    columns = [
        Column(column.name, type, is_required=column.required)
        for column, type in zip(schema.inputs, types, strict=True)
    ]
    return InputSpec(columns=columns)


def _tensor_type(spec: Any) -> str:
    """numpy's name of the type where a row is one value; else with the row's shape, which MLflow checks."""
    row_shape = tuple(spec.shape[1:])
    return str(spec.type) if row_shape in ((), (1,)) else f"{spec.type}{list(row_shape)}"


def _inputs_of_estimator(estimator: Any) -> InputSpec:
    front = _front(estimator)
    names = getattr(front, "feature_names_in_", None)
    count = getattr(front, "n_features_in_", None)
    return InputSpec(
        columns=None if names is None else [Column(str(name), None) for name in names],
        count=None if count is None else int(count),
        is_numeric=_takes_numbers_only(front),
    )


def _takes_numbers_only(estimator: Any) -> bool:
    """Whether the estimator surely takes no text. Only scikit-learn's own classes are trusted to tell."""
    if not type(estimator).__module__.startswith("sklearn."):
        return False
    if any(_holds_estimator(value) for value in estimator.get_params(deep=False).values()):
        return False  # it depends on those inside
    if getattr(estimator, "is_categorical_", None) is not None and estimator.is_categorical_.any():
        return False  # histogram boosting encodes texts by itself
    try:
        from sklearn.utils import get_tags
    except ImportError:  # before 1.6
        types = set(estimator._get_tags()["X_types"])
        return "2darray" in types and not types & {"string", "categorical"}
    tags = get_tags(estimator)
    inputs = tags.input_tags
    return inputs.two_d_array and not (inputs.string or inputs.categorical or tags.no_validation)


def _holds_estimator(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_estimator(item) for item in value)
    return hasattr(value, "fit")
