"""Trains models, and writes each into a folder of its name, with the rows it was trained on, and what it says of some.

python train.py FOLDER
"""

import json
import pickle
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from mlflow.models import infer_signature
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from xgboost import XGBClassifier, XGBRegressor

folder = Path(sys.argv[1])
random = np.random.default_rng(0)
count = 300
numbers = pd.DataFrame(
    {"age": random.integers(18, 80, count), "spend": random.normal(50, 30, count), "visits": random.normal(size=count)}
)
churned = (numbers.spend / 10 + numbers.visits * 3 > 5).astype(int).to_numpy()
plans = np.array(["free", "pro", "größe"])[churned + (numbers.age > 50)]
everything = numbers.assign(
    plan=random.choice(["free", "pro", "größe"], count),
    said=random.choice(["the cat sat", "a dog ran home", "cat and dog", "Birds fly"], count),
)


def columns(*texts: tuple) -> ColumnTransformer:
    """Numbers, a category, and what else is given."""
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "spend", "visits"]),
            ("plan", OneHotEncoder(), ["plan"]),
            *texts,
        ]
    )


known = everything.drop(columns="said")
typed = pd.DataFrame(
    {
        "age": random.integers(18, 80, count),
        "visits": random.integers(0, 9, count).astype("int32"),
        "score": random.normal(size=count).astype("float32"),
        "vip": random.random(count) < 0.3,
        "spend": random.lognormal(3, 1, count),
        "plan": random.choice(["free", "pro", "größe"], count),
    }
)
bought = (typed.age / 20 + typed.score * 2 + typed.vip * 2 + typed.spend / 30 + random.normal(size=count) > 5).astype(
    int
)
typed_columns = ColumnTransformer(
    [
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "score", "spend"]),
        ("plan", OrdinalEncoder(), ["plan"]),
    ],
    remainder="passthrough",
)
gaps = numbers.assign(spend=numbers.spend.where(numbers.index % 10 != 7))
noise = random.integers(0, 2, count)
vote = [
    ("forest", RandomForestClassifier(10, random_state=0)),
    ("boosting", make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=10))),
]
said = ("said", TfidfVectorizer(), "said")
models = {
    "forest": (RandomForestClassifier(40, random_state=0), numbers, churned),
    "forest-of-texts": (RandomForestClassifier(10, max_depth=4, random_state=0), numbers, plans),
    "logistic": (LogisticRegression(max_iter=2000), numbers, churned.astype(bool)),
    "boosting": (GradientBoostingClassifier(n_estimators=30), numbers.to_numpy(), churned),
    "histogram": (HistGradientBoostingClassifier(max_iter=20), numbers, plans),
    "text": (make_pipeline(columns(said), LogisticRegression()), everything, churned),
    "categories": (make_pipeline(columns(), GradientBoostingClassifier(n_estimators=20)), known, churned),
    "regressor": (RandomForestRegressor(10, random_state=0), numbers, numbers.spend.to_numpy() ** 2),
    "xgboost": (XGBClassifier(n_estimators=20), numbers, churned),
    "xgboost-regressor": (XGBRegressor(n_estimators=20), numbers, numbers.spend.to_numpy() * 3),
    "lightgbm": (LGBMClassifier(n_estimators=20, verbose=-1), numbers, plans),
    "many-splits": (RandomForestClassifier(200, random_state=0), numbers, noise),
    "typed": (make_pipeline(typed_columns, RandomForestClassifier(20, random_state=0)), typed, bought),
    "typed-forest": (RandomForestClassifier(20, random_state=0), typed.drop(columns="plan"), bought),
    "vote": (VotingClassifier(vote, voting="soft", flatten_transform=False), numbers, churned),
    "calibrated": (CalibratedClassifierCV(RandomForestClassifier(10, random_state=0), cv=2), numbers, churned),
    "stacked": (StackingClassifier(vote, GradientBoostingClassifier(n_estimators=3)), numbers, churned),
    "turned": (make_pipeline(PCA(2), RandomForestClassifier(5, random_state=0)), numbers, churned),
    "missing": (RandomForestClassifier(20, random_state=0), gaps, churned),
    "missing-before": (make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)), gaps, churned),
    "two-outputs": (LinearRegression(), numbers, np.stack([churned, churned], axis=1)),
    "function": (make_pipeline(FunctionTransformer(np.log1p), LinearRegression()), numbers.abs(), churned),
}
for name, (model, inputs, target) in models.items():
    model.fit(inputs, target)
    if name.startswith("typed"):
        said_of_it = {"signature": infer_signature(inputs, target), "input_example": inputs.head(3)}
        mlflow.sklearn.save_model(
            model, folder / name, serialization_format="cloudpickle", pip_requirements=[], **said_of_it
        )
    else:
        (folder / name).mkdir()
        (folder / name / "model.pkl").write_bytes(pickle.dumps(model))
    pd.DataFrame(inputs).to_csv(folder / f"{name}.csv", index=False)
    rows = inputs.dropna().tail(200) if isinstance(inputs, pd.DataFrame) else inputs[-200:]
    given = pd.DataFrame(rows)
    said_by = model.predict(rows).tolist()
    chances = model.predict_proba(rows).tolist() if hasattr(model, "predict_proba") else None
    expected = {"inputs": given.to_dict("list"), "predictions": said_by, "probabilities": chances}
    (folder / f"{name}.json").write_text(json.dumps(expected))

forest = models["forest"][0]
many = pd.DataFrame(
    {
        "age": random.integers(10, 90, 100_000),
        "spend": random.normal(50, 40, 100_000),
        "visits": random.normal(scale=1.5, size=100_000),
    }
)
expected = {
    "inputs": many.to_dict("list"),
    "predictions": forest.predict(many).tolist(),
    "probabilities": forest.predict_proba(many).tolist(),
}
(folder / "forest-many.json").write_text(json.dumps(expected))
