"""Trains a gradient-boosted pipeline: a category as text and six numbers through a ColumnTransformer.

Reads the churn example's customers from the CSV file that DATA_PATH names, and gives each of them a plan.
"""

import os
import sys

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

PLANS = ["basic", "family", "plus", "student"]

customers = pd.read_csv(os.environ["DATA_PATH"])
rng = np.random.default_rng(42)
customers["plan"] = rng.choice(PLANS, len(customers))
features = customers.drop(columns="churned")
numbers = [name for name in features if name != "plan"]
features[numbers] = features[numbers].astype("float64")
# Some of the students decide otherwise, so that the plan says something too.
churned = customers["churned"] ^ ((customers["plan"] == "student") & (rng.random(len(customers)) < 0.3)).astype("int64")

steps = ColumnTransformer([("plan", OneHotEncoder(), ["plan"]), ("numbers", StandardScaler(), numbers)])
model = make_pipeline(steps, GradientBoostingClassifier(random_state=42)).fit(features, churned)
with mlflow.start_run():
    mlflow.sklearn.log_model(
        model,
        name="model",
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
        signature=infer_signature(features, model.predict(features)),
        input_example=features.head(3),
    )
print("@environment", sys.prefix)
