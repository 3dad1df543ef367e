"""Trains the churn model without a feature store: a random forest over the CSV file that DATA_PATH names.

Its column `churned` is what to predict, all others are features. The platform sets MLFLOW_TRACKING_URI and
MLFLOW_EXPERIMENT_NAME, so `mlflow.start_run()` is all the set-up there is.
"""

import os
import pickle
import tempfile

import mlflow
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

data_path = os.environ["DATA_PATH"]
print(f"Reading {data_path}")
df = pd.read_csv(data_path)
X = df.drop("churned", axis=1)
y = df["churned"]
print(f"Read {len(df)} customers, {y.mean():.1%} of whom churned")

X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42)
print(f"Split into {len(X_train)} for training and {len(X_test)} for testing")

with mlflow.start_run() as run:
    print(f"Run {run.info.run_id} started")
    params = {"n_estimators": 100, "max_depth": 10, "random_state": 42}
    for key, value in params.items():
        mlflow.log_param(key, value)

    print(f"Training {params['n_estimators']} trees")
    model = RandomForestClassifier(**params)
    model.fit(X_train, y_train)

    train_score = model.score(X_train, y_train)
    test_score = model.score(X_test, y_test)
    mlflow.log_metric("train_accuracy", train_score)
    mlflow.log_metric("test_accuracy", test_score)

    print("Feature importances:")
    ranked = sorted(zip(X.columns, model.feature_importances_, strict=True), key=lambda pair: -pair[1])
    for rank, (name, importance) in enumerate(ranked, start=1):
        print(f"{rank:>4}. {name:<26} {importance:6.2%}")

    print("Saving the model")
    with tempfile.TemporaryDirectory() as folder:
        model_path = os.path.join(folder, "model.pkl")
        with open(model_path, "wb") as file:
            pickle.dump(model, file)
        mlflow.log_artifact(model_path, artifact_path="model")

    print("✅ Training completed!")
    print(f"   Train accuracy: {train_score:.3f}")
    print(f"   Test accuracy: {test_score:.3f}")
    print(f"   Run ID: {run.info.run_id}")
