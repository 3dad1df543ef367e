/** Python in front of scripts that need MLflow alone: its own REST API, without the 2 s that its client takes to import. */
export const MLFLOW_REST = `
import json, os, pickle, time, urllib.request
def mlflow_call(path, body, method="POST"):
    request = urllib.request.Request(
        os.environ["MLFLOW_TRACKING_URI"] + path,
        data=body if isinstance(body, bytes) else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"]},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"{}")
`;

/** A linear model of two columns as the guide saves one: a pickle at \`model/model.pkl\`. Predicts \`factor * (a + b)\`. */
export const pickleScript = (factor: number) => `
import pickle, mlflow, pandas
from sklearn.linear_model import LinearRegression
frame = pandas.DataFrame({"a": [0.0, 1.0, 0.0, 2.0], "b": [0.0, 0.0, 1.0, 3.0]})
model = LinearRegression().fit(frame, ${factor} * (frame["a"] + frame["b"]))
with mlflow.start_run() as run:
    mlflow.log_metric("factor", ${factor})
    with open("model.pkl", "wb") as file:
        pickle.dump(model, file)
    mlflow.log_artifact("model.pkl", artifact_path="model")
    print("run", run.info.run_id)
`;

/** A classifier as MLflow's own client logs it, with a signature: the columns \`age\` (double) and \`visits\` (long). */
export const CLASSIFIER_SCRIPT = `
import mlflow, pandas
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
frame = pandas.DataFrame({"age": [20.0, 25.0, 60.0, 70.0] * 5, "visits": [1, 2, 9, 8] * 5})
model = LogisticRegression().fit(frame, ["stays", "stays", "leaves", "leaves"] * 5)
with mlflow.start_run() as run:
    mlflow.sklearn.log_model(
        model, name="model", serialization_format="cloudpickle", pip_requirements=["scikit-learn"],
        signature=infer_signature(frame, model.predict(frame)),
    )
    print("run", run.info.run_id)
`;

/**
 * Python that defines \`log(text, **options)\`, which logs a model that answers \`text\`, by MLflow's own client. Nothing is
 * inferred: that takes MLflow several seconds.
 */
export const TEXT_MODEL = `
import mlflow
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
class TextModel(mlflow.pyfunc.PythonModel):
    def __init__(self, text):
        self.text = text
    def predict(self, context, model_input, params=None):
        return [self.text] * len(model_input)
signature = ModelSignature(Schema([ColSpec("long", "x")]), Schema([ColSpec("string")]))
def log(text, **options):
    options = {"name": "model", "pip_requirements": ["mlflow"], "signature": signature, **options}
    return mlflow.pyfunc.log_model(python_model=TextModel(text), **options)
`;

/** A forest as the guide saves one, a pickle at \`model/model.pkl\`, of the columns \`age\` and \`visits\`: 1 from 40 on. */
export const FOREST_SCRIPT = `
import pickle, mlflow, pandas
from sklearn.ensemble import RandomForestClassifier
frame = pandas.DataFrame({"age": range(20, 60), "visits": [each % 7 for each in range(40)]})
model = RandomForestClassifier(n_estimators=20, random_state=42).fit(frame, [0] * 20 + [1] * 20)
with mlflow.start_run():
    with open("model.pkl", "wb") as file:
        pickle.dump(model, file)
    mlflow.log_artifact("model.pkl", artifact_path="model")
`;

/** A pipeline with the columns \`city\`, a category, \`comment\`, of which it counts the words, and \`age\`. */
export const TEXT_COLUMNS_SCRIPT = `
import mlflow, pandas
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
frame = pandas.DataFrame({
    "city": ["Köln", "Bonn", "Köln", "Bonn"] * 5, "comment": ["good", "bad", "good ✓", ""] * 5,
    "age": [30.0, 40.0, 35.0, 45.0] * 5,
})
columns = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), ["city"]), (CountVectorizer(), "comment"), remainder="passthrough",
)
model = make_pipeline(columns, LogisticRegression()).fit(frame, ["stays", "leaves"] * 10)
with mlflow.start_run():
    mlflow.sklearn.log_model(
        model, name="model", serialization_format="cloudpickle", pip_requirements=["scikit-learn"],
        signature=infer_signature(frame, model.predict(frame)),
    )
`;

/** A model of one column, \`x\`, that gives two outputs: \`total\`, twice the column, and \`grade\`, a text. */
export const TWO_OUTPUTS_SCRIPT = `
import mlflow, pandas
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        x = model_input["x"]
        return pandas.DataFrame({"total": 2 * x, "grade": ["high" if each > 10 else "löw" for each in x]})
signature = ModelSignature(Schema([ColSpec("double", "x")]), Schema([ColSpec("double", "total"), ColSpec("string", "grade")]))
with mlflow.start_run():
    mlflow.pyfunc.log_model(name="model", python_model=Model(), pip_requirements=["mlflow"], signature=signature)
`;

/** A pipeline with a signature: \`age\` (double, may be missing), \`visits\` (long) and \`city\` (a category). */
export const MIXED_COLUMNS_SCRIPT = `
import mlflow, pandas
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
frame = pandas.DataFrame({"age": [20.0, 25.5, 60.0, 70.0] * 5, "visits": [1, 2, 9, 8] * 5, "city": ["Köln", "Bonn"] * 10})
columns = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), ["city"]), (SimpleImputer(), ["age", "visits"]),
)
model = make_pipeline(columns, LinearRegression()).fit(frame, frame["age"] * 2 + frame["visits"] + 0.25)
with mlflow.start_run():
    mlflow.sklearn.log_model(
        model, name="model", serialization_format="cloudpickle", pip_requirements=["scikit-learn"],
        signature=infer_signature(frame, model.predict(frame)),
    )
`;
