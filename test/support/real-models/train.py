"""Trains the model that MODEL names and saves it as users do, with rows that it has not seen and what it says of them.

By MLflow's own client it is registered as `<model name>-mlflow`; what is saved last, as the guide does it, is left to
the platform. `expected.json` among the run's artifacts is {"seen": …, "odd": … | null}, each
{"inputs": {column: value[n]}, "predictions": value[n], "probabilities": number[n][classes] | null}: the odd rows have
what is missing, unknown or no plain text.
"""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

ROWS, HELD_OUT = 500, 60
random = np.random.default_rng(7)
numbers = pd.DataFrame(
    {
        "age": random.integers(18, 80, ROWS),
        "spend": random.normal(50, 30, ROWS),
        "visits": random.gamma(2.0, 3.0, ROWS),
    }
)
mixed = numbers.assign(
    plan=random.choice(["free", "pro", "enterprise"], ROWS),
    said=random.choice(["the cat sat", "a dog ran home", "cat and dog", "Birds fly south", "no words"], ROWS),
)
churned = ((numbers.spend / 10 + numbers.visits > 9) | (mixed.said == "no words")).astype(int).to_numpy()
churned = churned ^ (random.random(ROWS) < 0.05)
plans = np.array(["stays", "wavers", "leaves"])[churned + (numbers.age > 50)]
ODD_NUMBERS = [{"age": 40, "spend": None, "visits": 3.5}, {"age": None, "spend": 12.25, "visits": None}]
ODD_TEXTS = [
    {"age": 33, "spend": 41.5, "visits": 2.0, "plan": "größer", "said": "the cat sat"},
    {"age": 61, "spend": None, "visits": 9.0, "plan": "pro", "said": "naïve dög 猫 cat"},
    {"age": 61, "spend": 70.0, "visits": 9.0, "plan": "free", "said": ""},
]
CATEGORIES = pd.CategoricalDtype(["enterprise", "free", "pro"])
ZONES = pd.CategoricalDtype([10, 20, 30])
categories = numbers.assign(
    plan=mixed.plan.astype(CATEGORIES), zone=pd.Series(random.choice([10, 20, 30], ROWS), dtype=ZONES)
)
# Unknown ones are what a DataFrame of the training's categories has for them: nothing.
ODD_CATEGORIES = [
    {"age": 33, "spend": 41.5, "visits": 2.0, "plan": "größer", "zone": 40},
    {"age": 61, "spend": 70.25, "visits": 9.0, "plan": None, "zone": 10},
]


class Advisor(mlflow.pyfunc.PythonModel):
    """A model of the script's own: a file that it was saved with decides what a classifier's number means."""

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def load_context(self, context: Any) -> None:
        """Reads what it was saved with."""
        self.limits = json.loads(Path(context.artifacts["limits"]).read_text())

    def predict(self, context: Any, model_input: Any, params: Any = None) -> pd.DataFrame:
        """A row's rank is among the rows that come with it."""
        risk = self.classifier.predict_proba(model_input)[:, 1]
        advice = np.where(risk > self.limits["call"], "call", "wait")
        return pd.DataFrame({"risk": risk, "advice": advice, "rank": np.argsort(np.argsort(-risk, kind="stable"))})


def _pipeline() -> Any:
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "spend", "visits"]),
            ("plan", OneHotEncoder(handle_unknown="ignore"), ["plan"]),
            ("said", TfidfVectorizer(), "said"),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=2000))


value = numbers.spend.to_numpy() * 3 + numbers.visits.to_numpy() ** 2
MODELS = {
    "forest": (RandomForestClassifier(50, random_state=0), numbers, churned, None),
    "logistic": (make_pipeline(StandardScaler(), LogisticRegression()), numbers, churned.astype(bool), None),
    "boosting": (GradientBoostingClassifier(n_estimators=40, random_state=0), numbers, plans, None),
    "pipeline": (_pipeline(), mixed, churned, ODD_TEXTS),
    "xgboost": (XGBClassifier(n_estimators=30, random_state=0), numbers, churned, ODD_NUMBERS),
    "lightgbm": (LGBMClassifier(n_estimators=30, random_state=0, verbose=-1), numbers, plans, ODD_NUMBERS),
    "regressor": (RandomForestRegressor(30, random_state=0), numbers, value, None),
    "two-outputs": (RandomForestRegressor(20, random_state=0), numbers, np.stack([value, -value / 7], axis=1), None),
    "two-labels": (RandomForestClassifier(20, random_state=0), numbers, np.stack([churned, plans], axis=1), None),
    "categories-lightgbm": (
        LGBMRegressor(n_estimators=30, random_state=0, verbose=-1, n_jobs=4),
        categories,
        value + 40 * (mixed.plan == "pro") - 25 * (categories.zone == 20).to_numpy(),
        ODD_CATEGORIES,
    ),
    "categories-xgboost": (
        XGBClassifier(n_estimators=30, random_state=0, enable_categorical=True, n_jobs=4),
        categories,
        churned ^ (mixed.plan == "pro").to_numpy(),
        ODD_CATEGORIES,
    ),
    "categories-histogram": (
        HistGradientBoostingClassifier(max_iter=30, random_state=0, categorical_features="from_dtype"),
        categories,
        churned ^ (mixed.plan == "pro").to_numpy(),
        ODD_CATEGORIES,
    ),
    "pyfunc": (GradientBoostingClassifier(n_estimators=20, random_state=0), numbers, churned, None),
}


def _said_of(model: Any, rows: pd.DataFrame) -> dict[str, Any]:
    asked = rows.astype({"plan": CATEGORIES, "zone": ZONES}) if "zone" in rows else rows
    said = model.predict(asked)
    # Of several outputs it is a list of such.
    chances = model.predict_proba(asked) if hasattr(model, "predict_proba") else None
    return {
        "inputs": {name: [None if each != each else each for each in rows[name].tolist()] for name in rows},
        "predictions": said.to_dict("records") if isinstance(said, pd.DataFrame) else said.tolist(),
        "probabilities": chances.tolist() if isinstance(chances, np.ndarray) else None,
    }


name = os.environ["MODEL"]
model, inputs, target, odd = MODELS[name]
training, unseen = inputs.head(ROWS - HELD_OUT), inputs.tail(HELD_OUT)
model.fit(training, target[: ROWS - HELD_OUT])
logged = {
    "name": "model",
    "registered_model_name": os.environ["ASGARD_MODEL_NAME"] + "-mlflow",
    # What MLflow would find out by itself, in some seconds.
    "pip_requirements": ["scikit-learn", "xgboost", "lightgbm"],
}
with mlflow.start_run():
    if name == "pyfunc":
        Path("limits.json").write_text(json.dumps({"call": 0.6}))
        signature = infer_signature(training, pd.DataFrame({"risk": [0.5], "advice": ["call"], "rank": [0]}))
        options = {"artifacts": {"limits": "limits.json"}, "signature": signature}
        info = mlflow.pyfunc.log_model(python_model=Advisor(model), **options, **logged)
        model = mlflow.pyfunc.load_model(info.model_uri)
    elif name == "xgboost":
        mlflow.xgboost.log_model(model, **logged)
    elif name == "categories-xgboost":
        mlflow.xgboost.log_model(model, signature=infer_signature(training, model.predict(training)), **logged)
    elif name == "lightgbm":
        mlflow.lightgbm.log_model(model, **logged)
    elif name == "categories-lightgbm":
        mlflow.lightgbm.log_model(model, signature=infer_signature(training, model.predict(training)), **logged)
    elif name == "logistic":
        mlflow.sklearn.log_model(model, input_example=training.head(3), **logged)
    elif name == "forest":
        mlflow.sklearn.log_model(model, skops_trusted_types=["sklearn.tree._tree.Tree"], **logged)
    else:
        signature = None
        if name in ("pipeline", "regressor"):
            signature = infer_signature(training, model.predict(training))
        mlflow.sklearn.log_model(model, signature=signature, serialization_format="cloudpickle", **logged)
    odd_rows = None if odd is None else _said_of(model, pd.DataFrame(odd))
    mlflow.log_dict({"seen": _said_of(model, unseen), "odd": odd_rows}, "expected.json")
    if name != "pyfunc":
        Path("model.pkl").write_bytes(pickle.dumps(model))
        mlflow.log_artifact("model.pkl", artifact_path="model")
