"""Trains the churn model: a random forest over features of customers of whom it is known whether they left.

It reads two feature views, which `npm run demo` makes: `customer_features`, and `customer_outcomes` with `churned`. The
platform sets what Feast and MLflow need: `FeatureStore(...)` and `mlflow.start_run()` are all the set-up there is.
"""

import os
import pickle
import tempfile

import mlflow
import pandas as pd
from feast import FeatureStore
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

FEATURES = [
    "support_tickets_count",
    "days_since_last_purchase",
    "total_purchases",
    "customer_lifetime_value",
    "account_age_days",
    "avg_purchase_value",
]

# Whose features, as they were known when.
customers = pd.DataFrame({"customer_id": range(1, 2001), "event_timestamp": pd.to_datetime("2025-11-03")})
print("Reading features as of 2025-11-03")
store = FeatureStore(repo_path="/tmp/feast_repo")
df = store.get_historical_features(
    entity_df=customers,
    features=[f"customer_features:{name}" for name in FEATURES] + ["customer_outcomes:churned"],
).to_df()
X = df[FEATURES]
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
