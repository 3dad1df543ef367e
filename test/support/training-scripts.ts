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
