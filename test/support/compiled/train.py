"""Trains models, and writes each as a pickle into a folder of its name, with rows and what it says of them.

python train.py FOLDER
"""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
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
    "two-outputs": (LinearRegression(), numbers, np.stack([churned, churned], axis=1)),
    "function": (make_pipeline(FunctionTransformer(np.log1p), LinearRegression()), numbers.abs(), churned),
}
for name, (model, inputs, target) in models.items():
    model.fit(inputs, target)
    (folder / name).mkdir()
    (folder / name / "model.pkl").write_bytes(pickle.dumps(model))
    rows = inputs.tail(200) if isinstance(inputs, pd.DataFrame) else inputs[-200:]
    given = pd.DataFrame(rows)
    said_by = model.predict(rows).tolist()
    chances = model.predict_proba(rows).tolist() if hasattr(model, "predict_proba") else None
    expected = {"inputs": given.to_dict("list"), "predictions": said_by, "probabilities": chances}
    (folder / f"{name}.json").write_text(json.dumps(expected))
