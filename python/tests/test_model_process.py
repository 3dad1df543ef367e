from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
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

PACKAGES = Path(__file__).parent.parent
PROGRAM = "from asgard.model_process import main; main()"
FRAME = pd.DataFrame({"age": [1.0, 2, 3, 4] * 5, "visits": [4, 3, 2, 1] * 5})
TARGET = [0, 0, 1, 1] * 5


class Served:
    """A model process, and the platform's end of its channel."""

    def __init__(self, model: Path, folder: Path) -> None:
        folder.mkdir()
        listener = socket.socket(socket.AF_UNIX)
        # A path of a socket has to be short, and those of tests are not.
        folder_fd = os.open(folder, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder_fd}/channel")
        os.close(folder_fd)
        listener.listen()
        listener.settimeout(120)
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGES), "ASGARD_MODEL": str(model)},
            start_new_session=True,
        )
        self.channel, _ = listener.accept()
        listener.close()
        self.answers = self.channel.makefile("rb")

    def receive(self) -> Any:
        return json.loads(self.answers.readline())

    def ask_all(self, *requests: Any) -> list[dict[str, Any]]:
        self.channel.sendall(json.dumps(requests).encode() + b"\n")
        return self.receive()

    def ask(self, **request: Any) -> dict[str, Any]:
        return self.ask_all(request)[0]

    def finish(self) -> tuple[int, str]:
        """Ends the channel; returns the exit code and what was printed."""
        self.answers.close()
        self.channel.close()
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, output

    def close(self) -> None:
        self.answers.close()
        self.channel.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    served: list[Served] = []

    def serve(model: Path | str) -> Served:
        served.append(Served(Path(model), tmp_path / f"process-{len(served)}"))
        return served[-1]

    yield serve
    for each in served:
        each.close()


def save_pickle(folder: Path, model: Any, name: str = "model.pkl") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(model))
    return folder


def test_the_guides_pickle_is_served(serve: Any, tmp_path: Path) -> None:
    model = RandomForestClassifier(n_estimators=5, random_state=1).fit(FRAME, TARGET)
    served = serve(save_pickle(tmp_path / "model", model))
    ready = served.receive()
    assert ready.pop("load_seconds") > 0
    columns = [{"name": "age", "type": None}, {"name": "visits", "type": None}]
    assert ready == {"ready": True, "flavor": "pickle", "columns": columns, "is_row_wise": True}

    frame = pd.DataFrame({"age": [1, 4], "visits": [4, 1]})
    assert served.ask(inputs={"visits": [4, 1], "age": [1, 4]}, return_probabilities=True) == {
        "predictions": model.predict(frame).tolist(),
        "probabilities": model.predict_proba(frame).tolist(),
    }
    assert served.ask(inputs={"visits": [4], "age": [1]})["probabilities"] is None
    error = served.ask(inputs={"visits": [4], "age": ["old"]})["error"]
    assert error["kind"] == "invalid_input"
    assert error["path"] == ["inputs", "age", 0]
    error = served.ask(inputs={"visits": [4]})["error"]
    assert (error["message"], error["path"]) == ("missing column 'age'", ["inputs", "age"])
    error = served.ask(inputs=FRAME.to_dict("list"), return_probabilities="yes")["error"]
    assert error["path"] == ["return_probabilities"]
    assert served.ask_all([])[0]["error"]["message"] == "the request is not a JSON object"
    assert served.finish() == (0, "")


def test_a_model_that_was_trained_with_many_threads_gets_one_and_says_the_same(serve: Any, tmp_path: Path) -> None:
    class Teller:
        """Says how many jobs its forest has."""

        def __init__(self, forest: Any) -> None:
            self.forest = forest

        def predict(self, rows: Any) -> list[Any]:
            return [[self.forest.n_jobs, *said] for said in self.forest.predict_proba(rows).tolist()]

    forest = RandomForestClassifier(n_estimators=5, random_state=1, n_jobs=8).fit(FRAME.to_numpy(), TARGET)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(Teller(forest)))
    served = serve(folder)
    assert served.receive()["ready"] is True
    said = served.ask(inputs={"age": [1.0, 4.0], "visits": [4.0, 1.0]})["predictions"]
    assert said == [[1, *each] for each in forest.predict_proba([[1.0, 4.0], [4.0, 1.0]]).tolist()]
    assert pickle.loads((folder / "model.pkl").read_bytes()).forest.n_jobs == 8


def test_requests_of_one_batch_are_answered_as_each_alone(serve: Any, tmp_path: Path) -> None:
    model = RandomForestClassifier(n_estimators=5, random_state=1).fit(FRAME, TARGET)
    served = serve(save_pickle(tmp_path / "model", model))
    served.receive()
    requests = [
        {"inputs": {"age": [number % 5, 1.5][: 1 + number % 2], "visits": [number % 3, 2][: 1 + number % 2]}}
        for number in range(20)
    ]
    requests += [
        {"inputs": {"visits": [4], "age": [1]}, "return_probabilities": True},
        {"inputs": {"age": [2], "visits": [1]}, "return_probabilities": True},
        {"inputs": {"age": [None], "visits": [1]}},
        {"inputs": {"age": ["old"], "visits": [1]}},
        {"inputs": {"age": ["young"], "visits": [1]}},
        {"inputs": {"age": [2**60], "visits": [1]}},
        {"inputs": {"age": [True], "visits": [1]}},
        {"inputs": {"age": [1]}},
        {"inputs": {"age": [1, 2], "visits": [1]}},
        {"inputs": {"age": [], "visits": []}},
        "nonsense",
    ]
    together = served.ask_all(*requests)
    assert together == [served.ask_all(request)[0] for request in requests]
    assert [number for number, answer in enumerate(together) if "error" in answer] == [23, 24, 27, 28, 29, 30]


def test_a_row_that_a_model_refuses_is_refused_alone(serve: Any, tmp_path: Path) -> None:
    frame = FRAME.assign(plan=["a", "b"] * 10)
    encode = ColumnTransformer([("plan", OneHotEncoder(), ["plan"])], remainder=StandardScaler())
    served = serve(save_pickle(tmp_path / "model", make_pipeline(encode, LogisticRegression()).fit(frame, TARGET)))
    ready = served.receive()
    assert (len(ready["columns"]), ready["is_row_wise"]) == (3, True)
    answers = served.ask_all(*({"inputs": {"age": [1], "visits": [1], "plan": [plan]}} for plan in ("a", "new", "b")))
    assert [answer.get("predictions") in ([0], [1]) for answer in answers] == [True, False, True]
    error = answers[1]["error"]
    assert error["kind"] == "failed"
    assert error["message"].startswith("ValueError: Found unknown categories")
    code, output = served.finish()
    assert code == 0
    assert "Traceback" in output


def test_a_model_without_names_takes_its_number_of_columns(serve: Any, tmp_path: Path) -> None:
    served = serve(save_pickle(tmp_path / "model", LinearRegression().fit(FRAME.to_numpy(), TARGET), "churn.pkl"))
    assert served.receive()["columns"] is None
    assert "takes 2 columns" in served.ask(inputs={"x": [1]})["error"]["message"]
    error = served.ask(inputs={"x": [1], "y": [2]}, return_probabilities=True)["error"]
    assert error["path"] == ["return_probabilities"]
    assert "LinearRegression" in error["message"]
    assert len(served.ask(inputs={"x": [1, 2], "y": [2, 3]})["predictions"]) == 2


def test_what_has_probabilities_for_each_of_several_outputs_gives_none(serve: Any, tmp_path: Path) -> None:
    model = RandomForestClassifier(n_estimators=2).fit(FRAME, np.stack([TARGET, TARGET[::-1]], axis=1))
    served = serve(save_pickle(tmp_path / "model", model))
    served.receive()
    request = {"inputs": {"age": [1], "visits": [4]}}
    refused, answer = served.ask_all({**request, "return_probabilities": True}, request)
    assert refused["error"]["kind"] == "invalid_input"
    assert refused["error"]["path"] == ["return_probabilities"]
    assert "several outputs" in refused["error"]["message"]
    assert len(answer["predictions"][0]) == 2


def test_an_mlflow_model_with_a_signature_is_served(serve: Any, tmp_path: Path) -> None:
    model = RandomForestClassifier(n_estimators=5, random_state=1).fit(FRAME, TARGET)
    path = tmp_path / "mlflow-model"
    signature = infer_signature(FRAME, np.array(TARGET))
    mlflow.sklearn.save_model(
        model, str(path), signature=signature, serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
    )
    served = serve(path)
    ready = served.receive()
    assert (ready["flavor"], ready["is_row_wise"]) == ("pyfunc", True)
    assert ready["columns"] == [{"name": "age", "type": "double"}, {"name": "visits", "type": "long"}]
    answer = served.ask(inputs={"visits": [4, 1], "age": [1, None]}, return_probabilities=True)
    assert len(answer["predictions"]) == 2
    assert [len(row) for row in answer["probabilities"]] == [2, 2]
    error = served.ask(inputs={"visits": [4.5], "age": [1]})["error"]
    assert (error["kind"], error["path"]) == ("invalid_input", ["inputs", "visits", 0])


def test_an_mlflow_model_of_an_array_is_served(serve: Any, tmp_path: Path) -> None:
    data = FRAME.to_numpy()
    path = tmp_path / "mlflow-model"
    mlflow.sklearn.save_model(
        LogisticRegression().fit(data, TARGET),
        str(path),
        signature=infer_signature(data, np.array(TARGET)),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
    served = serve(path)
    assert served.receive()["columns"] is None
    answer = served.ask(inputs={"x": [1, 2], "y": [3, 4]}, return_probabilities=True)
    assert len(answer["predictions"]) == len(answer["probabilities"]) == 2
    assert "takes 2 columns" in served.ask(inputs={"x": [1]})["error"]["message"]


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


def test_a_python_model_may_print_fail_and_return_a_frame_and_is_not_merged(serve: Any, tmp_path: Path) -> None:
    code = tmp_path / "shouting.py"
    code.write_text(SHOUTING)
    path = tmp_path / "mlflow-model"
    mlflow.pyfunc.save_model(str(path), python_model=str(code), pip_requirements=["pandas"])
    served = serve(path)
    ready = served.receive()
    assert (ready["ready"], ready["columns"], ready["is_row_wise"]) == (True, None, False)
    assert served.ask(inputs={"age": [1, 2]})["predictions"] == [
        {"double": 2, "label": "x"},
        {"double": 4, "label": "x"},
    ]
    error = {"kind": "failed", "message": "KeyError: 'bad luck'", "path": None}
    assert served.ask(inputs={"age": [13]})["error"] == error
    assert served.ask(inputs={"age": [14]})["error"]["message"] == "SystemExit: 9"
    assert served.ask(inputs={"age": [3]})["predictions"][0]["double"] == 6
    assert served.ask(inputs={"age": [1]}, return_probabilities=True)["error"]["kind"] == "invalid_input"
    code, output = served.finish()
    assert code == 0
    assert "the model prints" in output
    assert "Traceback" in output


def test_a_model_that_cannot_be_loaded_ends_the_process_with_the_reason(serve: Any, tmp_path: Path) -> None:
    served = serve(tmp_path / "nowhere")
    assert served.receive() == {"ready": False, "error": f"there is nothing at {tmp_path}/nowhere"}
    output, _ = served.process.communicate(timeout=60)
    assert served.process.returncode == 1
    assert "Traceback" in output


class Hanging:
    """A model that never answers."""

    def __reduce__(self) -> tuple[Any, ...]:
        hang = "lambda frame: (print('started', flush=True), __import__('time').sleep(600))"
        return (eval, (f"__import__('types').SimpleNamespace(predict={hang})",))


def test_a_deserted_process_ends_while_its_model_hangs(serve: Any, tmp_path: Path) -> None:
    served = serve(save_pickle(tmp_path / "model", Hanging()))
    assert served.receive()["ready"] is True
    served.channel.sendall(b'[{"inputs":{"x":[1]}}]\n')
    # Only now, and not before the model hangs.
    assert served.process.stdout.readline() == "started\n"
    assert served.finish()[0] in (0, -signal.SIGKILL)
