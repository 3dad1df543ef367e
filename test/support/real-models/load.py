"""Loads each of NAMES as any MLflow client would, and prints whether it says what its training saw it say."""

import os

import mlflow
import numpy as np
import pandas as pd


def _is_same(one: object, other: object) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        return bool(np.isclose(one, other, rtol=1e-12, atol=0))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)
    return one == other


for name in os.environ["NAMES"].split():
    run = mlflow.MlflowClient().get_model_version(name, "1").run_id
    expected = mlflow.artifacts.load_dict(f"runs:/{run}/expected.json")["seen"]
    said = mlflow.pyfunc.load_model(f"models:/{name}/1").predict(pd.DataFrame(expected["inputs"]))
    said = said.to_dict("records") if isinstance(said, pd.DataFrame) else np.asarray(said).tolist()
    print(name, "same" if _is_same(said, expected["predictions"]) else f"says {said[:3]}, not", flush=True)
