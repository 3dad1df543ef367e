"""Writes the MLmodel that makes a pickle a whole MLflow model, which any MLflow client can load and serve.

The files that it names beside it are the platform's to write: `requirements.txt`, `conda.yaml` and `python_env.yaml`,
as it has the lock of the environment; and `code/asgard_joblib.py`, a copy of this package's module, for what joblib
wrote.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asgard.model_example import Example
from asgard.model_loading import WRAPS, LoadedModel

_MOST_ROWS_TRIED = 200
# How much better than a constant a model has to do on rows to be taken for one that was trained on such rows.
_LEAST_GAIN = 0.2


def wrapped(
    model: LoadedModel, folder: Path, example: Example | None, output: Any, run_id: str | None
) -> tuple[str, Any]:
    """The text of an MLmodel for the folder that holds the pickle, and its signature, None where it is not known.

    `output` is what the model said of the example's rows.
    """
    import mlflow.pyfunc
    import sklearn
    from mlflow.models import Model

    name = model.path.relative_to(folder).as_posix()
    signature = _signature(model, example, output)
    made = Model(artifact_path=model.path.stem, run_id=run_id, signature=signature, metadata={WRAPS: name})
    loader = {"loader_module": "mlflow.sklearn", "model_path": name}
    if model.pickled_with == "joblib":  # which MLflow's flavor for scikit-learn cannot read
        loader = {"loader_module": "asgard_joblib", "data": name, "code": "code"}
    mlflow.pyfunc.add_to_model(made, conda_env="conda.yaml", python_env="python_env.yaml", **loader)
    if model.pickled_with == "pickle" and isinstance(model.raw, sklearn.base.BaseEstimator):
        flavor = {"sklearn_version": sklearn.__version__, "serialization_format": "pickle", "code": None}
        made.add_flavor("sklearn", pickled_model=name, **flavor)
    return made.to_yaml(), signature


def _signature(model: LoadedModel, example: Example | None, output: Any) -> Any:
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.utils import _infer_schema

    names = [column.name for column in model.inputs.columns or []]
    if not names or example is None:
        return None
    # A signature that is not there is better than none at all for a model that works.
    with contextlib.suppress(Exception):
        if example.training is not None and _was_trained_on(model, example.training, names):
            return infer_signature(_widened(example.training[names]), output)
    with contextlib.suppress(Exception):
        from mlflow.types.schema import AnyType

        return ModelSignature(Schema([ColSpec(AnyType(), name) for name in names]), _infer_schema(output))
    return None


def _widened(rows: pd.DataFrame) -> pd.DataFrame:
    """With 64 bits for numbers of less: for those MLflow would refuse what pandas makes of plain numbers."""
    narrow = {name: type_ for name, type_ in rows.dtypes.items() if isinstance(type_, np.dtype) and type_.itemsize < 8}
    wide = {"i": "int64", "u": "int64", "f": "float64"}
    return rows.astype({name: wide[type_.kind] for name, type_ in narrow.items() if type_.kind in wide})


def _was_trained_on(model: LoadedModel, table: pd.DataFrame, names: list[str]) -> bool:
    """Whether the table's rows are what the model takes: it tells one of the other columns from them.

    A script may have scaled or encoded columns and kept their names: then their types are others than in its file.
    """
    rows = table.dropna(subset=names).head(_MOST_ROWS_TRIED)  # a script may have filled what is missing
    said = np.asarray(model.predict(rows[names]))
    if said.shape != (len(rows),):
        return False
    others = [rows[name] for name in rows.columns if name not in names]
    return any(_is_told(said, column, hasattr(model.raw, "classes_")) for column in others)


def _is_told(said: np.ndarray, truth: pd.Series, is_class: bool) -> bool:
    with contextlib.suppress(TypeError, ValueError, IndexError):  # lists, for one, or nothing at all
        if is_class:
            best_constant = float(truth.value_counts(normalize=True).iloc[0])
            right = float((truth.to_numpy() == said).mean())
            return best_constant < 1 and right > best_constant + _LEAST_GAIN * (1 - best_constant)
        values = truth.to_numpy(dtype="float64")
        spread = float(((values - values.mean()) ** 2).sum())
        return spread > 0 and 1 - float(((values - said) ** 2).sum()) / spread > _LEAST_GAIN
    return False
