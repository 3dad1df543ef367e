from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

WORKER = Path(__file__).parent.parent / "asgard" / "model_worker.py"
FRAME = pd.DataFrame({"age": [1.0, 2, 3, 4] * 5, "visits": [4, 3, 2, 1] * 5})
TARGET = [0, 0, 1, 1] * 5


class Worker:
    """A model worker, started as the platform starts it."""

    def __init__(self, uri: str, cache: Path, env: dict[str, str] | None = None) -> None:
        requests_out, requests_in = os.pipe()
        responses_out, responses_in = os.pipe()
        arguments = ["--requests-fd", str(requests_out), "--responses-fd", str(responses_in)]
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(WORKER), *arguments, "--model-uri", uri, "--cache-dir", str(cache)],
            pass_fds=(requests_out, responses_in),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"PATH": os.environ["PATH"], **(env or {})},
            start_new_session=True,
        )
        os.close(requests_out)
        os.close(responses_in)
        self.requests = os.fdopen(requests_in, "wb", buffering=0)
        self.responses = os.fdopen(responses_out, "rb")

    def receive(self) -> dict[str, Any]:
        return json.loads(self.responses.readline())

    def ask(self, **request: Any) -> dict[str, Any]:
        self.requests.write(json.dumps({"id": 1, **request}).encode() + b"\n")
        return self.receive()

    def finish(self) -> tuple[int, str]:
        """Ends the requests; returns the exit code and what was printed."""
        self.requests.close()
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, output

    def close(self) -> None:
        self.requests.close()
        self.responses.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    workers: list[Worker] = []

    def start(uri: str, env: dict[str, str] | None = None) -> Worker:
        workers.append(Worker(uri, tmp_path / "cache", env))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


def save_pickle(folder: Path, model: Any, name: str = "model.pkl") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(model))
    return str(folder)


def test_the_guides_pickle_is_served(start: Any, tmp_path: Path) -> None:
    model = RandomForestClassifier(n_estimators=5, random_state=1).fit(FRAME, TARGET)
    worker = start(save_pickle(tmp_path / "model", model))
    ready = worker.receive()
    assert ready["load_seconds"] > 0
    assert ready["memory_bytes"] > 0
    del ready["load_seconds"], ready["memory_bytes"]
    columns = [{"name": "age", "type": None}, {"name": "visits", "type": None}]
    assert ready == {"ready": True, "flavor": "pickle", "columns": columns}

    answer = worker.ask(inputs={"visits": [4, 1], "age": [1, 4]}, return_probabilities=True)
    frame = pd.DataFrame({"age": [1, 4], "visits": [4, 1]})
    assert answer.pop("seconds") > 0
    assert answer == {
        "id": 1,
        "predictions": model.predict(frame).tolist(),
        "probabilities": model.predict_proba(frame).tolist(),
    }
    assert worker.ask(inputs={"visits": [4], "age": [1]})["probabilities"] is None
    error = worker.ask(inputs={"visits": [4], "age": ["old"]})["error"]
    assert error["kind"] == "invalid_input"
    assert error["path"] == ["inputs", "age", 0]
    error = worker.ask(inputs={"visits": [4]})["error"]
    assert (error["message"], error["path"]) == ("missing column 'age'", ["inputs", "age"])
    assert worker.ask(inputs=FRAME.to_dict("list"), return_probabilities="yes")["error"]["path"] == [
        "return_probabilities"
    ]
    assert worker.finish() == (0, "")


def test_requests_may_be_sent_ahead_and_end_the_worker_when_answered(start: Any, tmp_path: Path) -> None:
    worker = start(save_pickle(tmp_path / "model", LinearRegression().fit(FRAME.to_numpy(), TARGET)))
    for number in range(50):
        worker.requests.write(json.dumps({"id": number, "inputs": {"x": [1], "y": [2]}}).encode() + b"\n")
    worker.requests.close()
    assert worker.receive()["columns"] is None
    answers = [worker.receive() for _ in range(50)]
    assert [answer["id"] for answer in answers] == list(range(50))
    assert all(len(answer["predictions"]) == 1 for answer in answers)
    assert worker.process.wait(30) == 0


def test_a_model_without_names_takes_its_number_of_columns(start: Any, tmp_path: Path) -> None:
    folder = save_pickle(tmp_path / "model", LinearRegression().fit(FRAME.to_numpy(), TARGET), "churn.pkl")
    worker = start(f"file://{folder}")
    assert worker.receive()["flavor"] == "pickle"
    assert "takes 2 columns" in worker.ask(inputs={"x": [1]})["error"]["message"]
    error = worker.ask(inputs={"x": [1], "y": [2]}, return_probabilities=True)["error"]
    assert error["path"] == ["return_probabilities"]
    assert "LinearRegression" in error["message"]
    code, output = worker.finish()
    assert (code, output) == (0, "")


def test_a_pipeline_that_takes_text_gets_text(start: Any, tmp_path: Path) -> None:
    frame = FRAME.assign(plan=["a", "b"] * 10)
    encode = ColumnTransformer([("plan", OneHotEncoder(), ["plan"])], remainder=StandardScaler())
    worker = start(save_pickle(tmp_path / "model", make_pipeline(encode, LogisticRegression()).fit(frame, TARGET)))
    assert len(worker.receive()["columns"]) == 3
    assert worker.ask(inputs={"age": [1], "visits": [1], "plan": ["a"]})["predictions"] in ([0], [1])
    error = worker.ask(inputs={"age": [1], "visits": [1], "plan": ["new"]})["error"]
    assert error["kind"] == "failed"
    assert error["message"].startswith("ValueError: Found unknown categories")
    code, output = worker.finish()
    assert code == 0
    assert "Traceback" in output


def test_an_mlflow_model_with_a_signature_is_served(start: Any, tmp_path: Path) -> None:
    model = RandomForestClassifier(n_estimators=5, random_state=1).fit(FRAME, TARGET)
    path = str(tmp_path / "mlflow-model")
    signature = infer_signature(FRAME, np.array(TARGET))
    mlflow.sklearn.save_model(
        model, path, signature=signature, serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
    )
    worker = start(path)
    ready = worker.receive()
    assert ready["flavor"] == "pyfunc"
    assert ready["columns"] == [{"name": "age", "type": "double"}, {"name": "visits", "type": "long"}]
    answer = worker.ask(inputs={"visits": [4, 1], "age": [1, None]}, return_probabilities=True)
    assert len(answer["predictions"]) == 2
    assert [len(row) for row in answer["probabilities"]] == [2, 2]
    error = worker.ask(inputs={"visits": [4.5], "age": [1]})["error"]
    assert (error["kind"], error["path"]) == ("invalid_input", ["inputs", "visits", 0])


def test_an_mlflow_model_of_an_array_is_served(start: Any, tmp_path: Path) -> None:
    data = FRAME.to_numpy()
    path = str(tmp_path / "mlflow-model")
    mlflow.sklearn.save_model(
        LogisticRegression().fit(data, TARGET),
        path,
        signature=infer_signature(data, np.array(TARGET)),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
    worker = start(path)
    assert worker.receive()["columns"] is None
    answer = worker.ask(inputs={"x": [1, 2], "y": [3, 4]}, return_probabilities=True)
    assert len(answer["predictions"]) == len(answer["probabilities"]) == 2
    assert "takes 2 columns" in worker.ask(inputs={"x": [1]})["error"]["message"]


SHOUTING = """
import mlflow, pandas

class Shouting(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        print("the model prints")
        if model_input["age"][0] == 13:
            raise KeyError("bad luck")
        if model_input["age"][0] == 14:
            raise SystemExit(9)
        return pandas.DataFrame({"double": model_input["age"] * 2, "label": "x"})

mlflow.models.set_model(Shouting())
"""


def test_a_python_model_may_print_fail_and_return_a_frame(start: Any, tmp_path: Path) -> None:
    code = tmp_path / "shouting.py"
    code.write_text(SHOUTING)
    path = str(tmp_path / "mlflow-model")
    mlflow.pyfunc.save_model(path, python_model=str(code), pip_requirements=["pandas"])
    worker = start(path)
    ready = worker.receive()
    assert (ready["ready"], ready.get("columns")) == (True, None)
    assert worker.ask(inputs={"age": [1, 2]})["predictions"] == [
        {"double": 2, "label": "x"},
        {"double": 4, "label": "x"},
    ]
    error = {"kind": "failed", "message": "KeyError: 'bad luck'", "path": None}
    assert worker.ask(inputs={"age": [13]})["error"] == error
    assert worker.ask(inputs={"age": [14]})["error"]["message"] == "SystemExit: 9"
    assert worker.ask(inputs={"age": [3]})["predictions"][0]["double"] == 6
    assert worker.ask(inputs={"age": [1]}, return_probabilities=True)["error"]["kind"] == "invalid_input"
    code, output = worker.finish()
    assert code == 0
    assert "the model prints" in output
    assert "Traceback" in output


def test_a_registered_version_is_downloaded_once_for_as_long_as_it_is_the_same(start: Any, tmp_path: Path) -> None:
    tracking_uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.create_experiment("churn", artifact_location=str(tmp_path / "artifacts"))
    folder = tmp_path / "made"

    def register(target: list[int], source: str) -> None:
        run = client.create_run(experiment)
        save_pickle(folder, LogisticRegression().fit(FRAME, target))
        client.log_artifact(run.info.run_id, str(folder / "model.pkl"), "model")
        client.create_registered_model("churn")
        client.create_model_version("churn", f"{run.info.artifact_uri}/{source}", run.info.run_id)

    def predict() -> Any:
        worker = start("models:/churn/1", {"MLFLOW_TRACKING_URI": tracking_uri})
        assert worker.receive()["ready"] is True
        predictions = worker.ask(inputs={"age": [1, 4], "visits": [4, 1]})["predictions"]
        assert worker.finish()[0] == 0
        return predictions

    cache = tmp_path / "cache"
    register(TARGET, "model")
    assert predict() == [0, 1]
    first = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(first) == 1
    assert predict() == [0, 1]
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == first
    client.delete_registered_model("churn")
    register([1 - value for value in TARGET], "model/model.pkl")
    assert predict() == [1, 0]
    assert len(list(cache.iterdir())) == 2


def test_a_model_that_cannot_be_loaded_ends_the_worker_with_the_reason(start: Any, tmp_path: Path) -> None:
    worker = start(str(tmp_path / "nowhere"))
    assert worker.receive() == {"ready": False, "error": f"there is nothing at {tmp_path}/nowhere"}
    code, output = worker.finish()
    assert code == 1
    assert "Traceback" in output


class Hanging:
    """A model that starts a process and never answers."""

    def __reduce__(self) -> tuple[Any, ...]:
        start = "__import__('subprocess').Popen(['sleep', '600']), print('started', flush=True)"
        hang = f"lambda frame: ({start}, __import__('time').sleep(600))"
        return (eval, (f"__import__('types').SimpleNamespace(predict={hang})",))


def test_a_deserted_worker_ends_while_its_model_hangs_and_with_what_that_has_started(
    start: Any, tmp_path: Path
) -> None:
    worker = start(save_pickle(tmp_path / "model", Hanging()))
    assert worker.receive()["ready"] is True
    worker.requests.write(b'{"id":1,"inputs":{"x":[1]}}\n')
    worker.requests.close()
    # Only now, and not before the model hangs.
    assert worker.process.stdout.readline() == "started\n"
    worker.responses.close()
    assert worker.process.wait(20) == -signal.SIGKILL
    worker.process.communicate(timeout=10)  # ends when nobody holds its output open any more


def test_a_request_that_is_none_is_answered(start: Any, tmp_path: Path) -> None:
    worker = start(save_pickle(tmp_path / "model", LinearRegression().fit(FRAME, TARGET)))
    worker.receive()
    worker.requests.write(b"nonsense\n[]\n")
    assert worker.receive()["error"]["kind"] == "invalid_input"
    assert worker.receive()["error"]["message"] == "the request is not a JSON object"
    assert len(worker.ask(inputs={"age": [1], "visits": [1]})["predictions"]) == 1
