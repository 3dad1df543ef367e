"""Trains and registers the models that odd inputs are given to, and prints what each says of them itself.

Its two constants are filled in by who hands it in: what the models' names begin with, and `[{"model": "forest",
"inputs": "<JSON>"}]`. Each line that begins with "itself " holds what the model says of the case of that number, as
JSON: predictions and probabilities, or an error.
"""

import contextlib
import json
import pickle

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema
from mlflow.utils.proto_json_utils import cast_df_types_according_to_schema
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

PREFIX = "@PREFIX@"
CASES = json.loads("@CASES@")

random = np.random.default_rng(0)
count = 400
rows = pd.DataFrame(
    {
        "age": random.integers(18, 80, count),
        "spend": random.normal(50, 30, count),
        "visits": random.integers(0, 20, count).astype("int32"),
        "member": random.random(count) > 0.5,
        "plan": random.choice(["free", "pro", "größe"], count),
        "said": random.choice(["the cat sat", "a dog ran home", "cat and dog", "Birds fly"], count),
    }
)
churned = (rows.spend / 10 + rows.visits > 14).astype(int)
numbers = ["age", "spend", "visits", "member"]


def pipeline(unknown: str) -> object:
    """Numbers, a category and words; `unknown` says what becomes of a category that was not there."""
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("plan", OneHotEncoder(handle_unknown=unknown), ["plan"]),
            ("said", TfidfVectorizer(), "said"),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(rows, churned)


class Echo(mlflow.pyfunc.PythonModel):
    """Says what it was given: whole numbers, times and texts."""

    def predict(self, context: object, model_input: pd.DataFrame, params: object = None) -> pd.DataFrame:
        """A row of each."""
        days = model_input["since"].dt.strftime("%Y-%m-%d %H:%M:%S.%f")
        return pd.DataFrame({"id": model_input["id"], "since": days, "note": model_input["note"]})


class Repr(mlflow.pyfunc.PythonModel):
    """Takes any columns, and writes down what it was given."""

    def predict(self, context: object, model_input: pd.DataFrame, params: object = None) -> list[str]:
        """The types of the columns, and the row."""
        kinds = {name: str(dtype) for name, dtype in model_input.dtypes.items()}
        return [f"{kinds} {list(row)!r}" for row in model_input.itertuples(index=False, name=None)]


echo_columns = Schema([ColSpec("long", "id"), ColSpec("datetime", "since"), ColSpec("string", "note")])
models = {
    "pipeline": pipeline("ignore"),
    "strict": pipeline("error"),
    "histogram": HistGradientBoostingClassifier(max_iter=20).fit(
        rows[["age", "spend"]].where(random.random((count, 2)) > 0.1), np.where(churned, "leaves", "stays")
    ),
}
kept: dict[str, object] = {}
for name, model in models.items():
    signature = None if name == "histogram" else infer_signature(rows, model.predict(rows))
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
            signature=signature,
            input_example=rows.head(2) if name == "strict" else None,
            registered_model_name=f"{PREFIX}_{name}",
        )
    kept[name] = mlflow.pyfunc.load_model(info.model_uri)
for name, custom, signature in (
    ("echo", Echo(), ModelSignature(echo_columns)),
    ("anything", Repr(), None),
):
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            python_model=custom,
            name="model",
            pip_requirements=["mlflow"],
            signature=signature,
            registered_model_name=f"{PREFIX}_{name}",
        )
    kept[name] = mlflow.pyfunc.load_model(info.model_uri)
with mlflow.start_run():
    forest = RandomForestClassifier(20, max_depth=6, random_state=0).fit(rows[["age", "spend", "visits"]], churned)
    with open("model.pkl", "wb") as file:
        pickle.dump(forest, file)
    mlflow.log_artifact("model.pkl", artifact_path="model")
with open("model.pkl", "rb") as file:
    kept["forest"] = pickle.load(file)


def plain(value: object) -> object:
    """In JSON's terms; what is missing, or no finite number, is null."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return None if value is None or (not isinstance(value, str) and not np.isfinite(value)) else value


def itself(model: object, text: str) -> dict[str, object]:
    """What a model says of the values in a DataFrame, of the types that its signature names."""
    frame = pd.DataFrame(json.loads(text))
    estimator = model
    with contextlib.suppress(NotImplementedError, AttributeError):
        estimator = model.get_raw_model()
    schema = model.metadata.get_input_schema() if isinstance(model, mlflow.pyfunc.PyFuncModel) else None
    if schema is not None:
        frame = cast_df_types_according_to_schema(frame, schema)
    names = list(getattr(estimator, "feature_names_in_", frame.columns))
    if sorted(names) == sorted(frame.columns):
        frame = frame[names]
    said = model.predict(frame)
    said = said.to_dict("records") if isinstance(said, pd.DataFrame) else list(said)
    said = [value.item() if isinstance(value, np.generic) else value for value in said]
    chances = estimator.predict_proba(frame).tolist() if hasattr(estimator, "predict_proba") else None
    return {"predictions": plain(said), "probabilities": plain(chances)}


for number, case in enumerate(CASES):
    try:
        said = itself(kept[case["model"]], case["inputs"])
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"[:300]}
    print("itself", json.dumps({"number": number, **said}), flush=True)
