from __future__ import annotations

import datetime
import json
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import joblib
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from mlflow.types.schema import AnyType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from asgard import asgard_joblib
from asgard.model_check import Request, check
from asgard.model_loading import load_folder

GIB = 2**30
TABLE = pd.DataFrame({"age": [20, 30, 40, 50] * 10, "spent": [1.5, 2.5, 3.5, 4.5] * 10, "left": [0, 0, 1, 1] * 10})
FEATURES = TABLE[["age", "spent"]]


def report_of(folder: Path, *, data_files: list[str] | None = None, run_id: str | None = None) -> dict[str, Any]:
    target = folder.parent / "report.json"
    check(Request(str(folder), str(target), data_files or [], 64 * GIB, run_id))
    return json.loads(target.read_text())


def pickled(tmp_path: Path, model: Any) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    return folder


def test_a_model_is_measured_with_its_own_example(tmp_path: Path) -> None:
    model = LogisticRegression().fit(FEATURES, TABLE["left"])
    mlflow.sklearn.save_model(
        model, tmp_path / "model", input_example=FEATURES.head(3), signature=infer_signature(FEATURES, TABLE["left"])
    )
    report = report_of(tmp_path / "model", run_id="r1")
    assert (report["refusal"], report["stage"], report["example_source"]) == (None, "done", "INPUT_EXAMPLE")
    assert report["load_seconds"] > 0
    assert report["p50_ms"] > 0
    assert report["peak_memory_bytes"] > 10_000_000
    assert [column["name"] for column in json.loads(report["signature"]["inputs"])] == ["age", "spent"]
    assert report["mlmodel"] is None


def test_an_example_that_the_model_itself_cannot_predict_refuses_it(tmp_path: Path) -> None:
    model = LogisticRegression().fit(FEATURES, TABLE["left"])
    example = FEATURES.rename(columns={"age": "years"})
    mlflow.sklearn.save_model(model, tmp_path / "model")
    saved = mlflow.models.Model.load(str(tmp_path / "model"))
    saved.saved_input_example_info = {"artifact_path": "example.json", "type": "dataframe", "pandas_orient": "split"}
    saved.save(str(tmp_path / "model" / "MLmodel"))
    (tmp_path / "model" / "example.json").write_text(example.head(1).to_json(orient="split"))
    report = report_of(tmp_path / "model")
    assert report["refusal"].startswith("it cannot predict an example: ValueError: The feature names should match")
    assert "years" in report["traceback"]


@pytest.mark.parametrize(
    ("columns", "source"),
    [
        (list(TABLE.columns), "TRAINING_ROWS"),
        (["age", "left"], "FEATURE_NAMES"),
    ],
)
def test_rows_of_a_file_that_the_training_may_have_read_are_tried(
    tmp_path: Path, columns: list[str], source: str
) -> None:
    data = tmp_path / "customers.csv"
    TABLE[columns].to_csv(data, index=False)
    folder = pickled(tmp_path, RandomForestClassifier(n_estimators=5).fit(FEATURES, TABLE["left"]))
    report = report_of(folder, data_files=[str(tmp_path / "none.csv"), str(data)])
    assert (report["refusal"], report["example_source"]) == (None, source)


def test_rows_with_nothing_missing_are_tried_before_those_that_the_script_may_have_filled(tmp_path: Path) -> None:
    data = tmp_path / "customers.parquet"
    holes = TABLE.assign(spent=[None] * 6 + TABLE["spent"].tolist()[6:])
    holes.to_parquet(data)
    model = LogisticRegression().fit(holes[["age", "spent"]].fillna(0), TABLE["left"])
    report = report_of(pickled(tmp_path, model), data_files=[str(data)])
    assert (report["refusal"], report["example_source"]) == (None, "TRAINING_ROWS")


def test_a_model_is_measured_with_one_thread_as_it_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pickled(tmp_path, RandomForestClassifier(n_estimators=5, n_jobs=8).fit(FEATURES, TABLE["left"]))
    started: list[threading.Thread] = []
    start = threading.Thread.start
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: (started.append(thread), start(thread)))
        assert report_of(folder)["p50_ms"] > 0
    assert started == []


def test_a_file_whose_rows_are_not_what_the_model_takes_refuses_nothing(tmp_path: Path) -> None:
    data = tmp_path / "customers.csv"
    TABLE.assign(age="forty").to_csv(data, index=False)
    report = report_of(pickled(tmp_path, LogisticRegression().fit(FEATURES, TABLE["left"])), data_files=[str(data)])
    assert (report["refusal"], report["example_source"]) == (None, "FEATURE_NAMES")


TEXTS = pd.DataFrame({"plan": ["basic", "gold"] * 4, "note": ["good day", "bad day"] * 4, "age": [1.0, 2.0] * 4})


def test_a_made_row_is_one_that_the_steps_of_a_pipeline_take(tmp_path: Path) -> None:
    columns = ColumnTransformer(
        [("plan", OneHotEncoder(), ["plan"]), ("note", CountVectorizer(), "note"), ("age", StandardScaler(), ["age"])]
    )
    report = report_of(pickled(tmp_path, make_pipeline(columns, LogisticRegression()).fit(TEXTS, [0, 1] * 4)))
    assert (report["refusal"], report["example_source"]) == (None, "FEATURE_NAMES")


class TwoTensors(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):  # noqa: ANN001, ANN201
        return {"sum": model_input["a"].sum(axis=(1, 2)), "first": model_input["b"][:, 0]}


def test_a_row_is_made_of_a_signature(tmp_path: Path) -> None:
    inputs = {"a": np.ones((2, 3, 4), "float32"), "b": np.ones((2, 2), "int64")}
    output = {"sum": np.ones(2, "float32"), "first": np.ones(2, "int64")}
    mlflow.pyfunc.save_model(
        tmp_path / "model", python_model=TwoTensors(), signature=infer_signature(inputs, output), pip_requirements=[]
    )
    report = report_of(tmp_path / "model")
    assert (report["refusal"], report["example_source"]) == (None, "SIGNATURE")


class OfNothing:
    def predict(self, rows: Any) -> list[int]:
        return [1] * len(rows)


def test_a_model_of_which_no_row_can_be_made_is_only_loaded(tmp_path: Path) -> None:
    report = report_of(pickled(tmp_path, OfNothing()))
    assert (report["refusal"], report["example_source"], report["p50_ms"]) == (None, None, None)


class OfDates:
    feature_names_in_ = ("joined",)

    def predict(self, rows: pd.DataFrame) -> Any:
        return pd.to_datetime(rows["joined"], format="%d.%m.%Y").dt.year


class OfWords:
    feature_names_in_ = ("word",)

    def predict(self, rows: pd.DataFrame) -> Any:
        return [{"a word of its own": 1}[word.lower()] for word in rows["word"]]


@pytest.mark.parametrize(
    ("model", "said"),
    [(OfDates(), "ValueError: time data"), (OfWords(), "AttributeError: 'float' object has no attribute 'lower'")],
)
def test_a_model_that_takes_no_made_row_is_served_with_a_warning(tmp_path: Path, model: Any, said: str) -> None:
    report = report_of(pickled(tmp_path, model))
    assert (report["refusal"], report["example_source"], report["p50_ms"]) == (None, None, None)
    assert report["warning"].startswith(
        f"it has predicted nothing, as no row that could be made for it is one that it takes ({said}"
    )
    assert report["warning"].endswith("; log it by MLflow with an input_example to have it tried")
    assert report["traceback"].startswith("Traceback (most recent call last):")


def test_a_model_that_fails_with_its_own_rows_is_refused_whatever_it_raises(tmp_path: Path) -> None:
    rows = pd.DataFrame({"joined": ["01.02.2025"]})
    signature = infer_signature(rows, np.ones(1, "int64"))
    mlflow.pyfunc.save_model(
        tmp_path / "model", python_model=Years(), signature=signature, input_example=rows, pip_requirements=[]
    )
    assert report_of(tmp_path / "model")["refusal"] is None
    example = tmp_path / "model" / "input_example.json"
    example.write_text(example.read_text().replace("01.02.2025", "2025-02-01"))
    assert report_of(tmp_path / "model")["refusal"].startswith("it cannot predict an example: ValueError: time data")


class Years(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):  # noqa: ANN001, ANN201
        return pd.to_datetime(model_input["joined"], format="%d.%m.%Y").dt.year.to_numpy()


class Lacks:
    feature_names_in_ = ("a",)

    def predict(self, _rows: Any) -> Any:
        try:
            return self.coefficients
        except AttributeError as error:
            raise RuntimeError("of two\nlines") from error


class Imports:
    feature_names_in_ = ("a",)

    def predict(self, _rows: Any) -> Any:
        import nobody_has_this

        return nobody_has_this


class Exits:
    def __reduce__(self) -> Any:
        return sys.exit, (3,)


@pytest.mark.parametrize(
    ("model", "refusal"),
    [
        (Lacks(), "it cannot predict an example: RuntimeError: of two lines"),
        (Imports(), "it cannot predict an example: ModuleNotFoundError: No module named 'nobody_has_this'"),
        (
            make_pipeline(StandardScaler().fit(FEATURES), LogisticRegression()),
            "it cannot predict an example: NotFittedError: This Pipeline instance is not fitted",
        ),
        (Exits(), "it cannot be loaded: SystemExit: 3"),
        ({"no": "model"}, "it cannot be loaded: model.pkl holds a dict, which has no predict method"),
    ],
)
def test_a_model_that_fails_is_refused_with_a_line_and_a_traceback(tmp_path: Path, model: Any, refusal: str) -> None:
    report = report_of(pickled(tmp_path, model))
    assert report["stage"] == "done"
    assert report["refusal"].startswith(refusal)
    assert report["traceback"].startswith("Traceback (most recent call last):")


def test_a_class_of_the_script_itself_is_told_to_be_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.pkl").write_bytes(b"c__main__\nMyModel\n)\x81.")
    report = report_of(tmp_path / "model")
    assert report["refusal"].startswith("it cannot be loaded: model.pkl needs a class or function that was defined in")


def test_a_pickle_becomes_a_model_that_a_plain_client_loads(tmp_path: Path) -> None:
    data = tmp_path / "customers.csv"
    TABLE.to_csv(data, index=False)
    model = RandomForestClassifier(n_estimators=5).fit(FEATURES, TABLE["left"])
    folder = pickled(tmp_path, model)
    report = report_of(folder, data_files=[str(data)], run_id="r1")
    (folder / "MLmodel").write_text(report["mlmodel"])

    loaded = mlflow.pyfunc.load_model(str(folder))
    assert loaded.metadata.run_id == "r1"
    assert [(each.name, each.type.name) for each in loaded.metadata.signature.inputs] == [
        ("age", "long"),
        ("spent", "double"),
    ]
    assert list(loaded.predict(FEATURES)) == list(model.predict(FEATURES))
    assert mlflow.sklearn.load_model(str(folder)).n_estimators == 5
    # What is served is the pickle as it was trained, with or without the MLmodel.
    assert load_folder(folder).inputs.columns == load_folder(folder / "model.pkl").inputs.columns
    assert report_of(folder, run_id="r1")["mlmodel"] is None


@pytest.mark.parametrize("scale", [1, 100])
def test_types_are_those_of_a_file_only_if_the_model_was_trained_on_its_rows(tmp_path: Path, scale: int) -> None:
    data = tmp_path / "customers.csv"
    TABLE.to_csv(data, index=False)
    model = RandomForestRegressor(n_estimators=5).fit(FEATURES / scale, TABLE["left"])
    folder = pickled(tmp_path, model)
    (folder / "MLmodel").write_text(report_of(folder, data_files=[str(data)], run_id="r1")["mlmodel"])
    loaded = mlflow.pyfunc.load_model(str(folder))
    types = [each.type for each in loaded.metadata.signature.inputs]
    assert [isinstance(each, AnyType) for each in types] == [scale == 100] * 2
    if scale == 100:
        assert len(loaded.predict(FEATURES / 100)) == len(FEATURES)


@pytest.mark.parametrize("is_class", [False, True])
@pytest.mark.parametrize("has_target", [False, True])
def test_a_signature_is_found_beside_columns_of_any_kind_and_rows_that_miss_something(
    tmp_path: Path, is_class: bool, has_target: bool
) -> None:
    count = len(TABLE)
    rows = TABLE if has_target else TABLE.drop(columns="left")
    rows = rows.assign(spent=[None, *TABLE["spent"][1:]])
    others = {
        "when": pd.to_datetime(["2025-11-03"] * count, utc=True),
        "day": [datetime.date(2025, 11, 3)] * count,
        "scores": [[1, 2]] * count,
        "place": [{"x": 1}] * count,
        "raw": [b"x"] * count,
        "nothing": [None] * count,
    }
    data = tmp_path / "rows.parquet"
    pd.DataFrame(others).join(rows).to_parquet(data)
    model = (LogisticRegression() if is_class else LinearRegression()).fit(FEATURES, TABLE["left"])
    report = report_of(pickled(tmp_path, model), data_files=[str(data)], run_id="r1")
    assert (report["refusal"], report["example_source"]) == (None, "TRAINING_ROWS")
    inputs = json.loads(report["signature"]["inputs"])
    assert [column["type"] for column in inputs] == (["long", "double"] if has_target else ["any", "any"])


def test_a_plain_client_may_give_plain_numbers_to_a_model_that_was_trained_on_short_ones(tmp_path: Path) -> None:
    rows = TABLE.astype({"age": "int32", "spent": "float32"})
    data = tmp_path / "rows.parquet"
    rows.to_parquet(data)
    folder = pickled(tmp_path, LogisticRegression().fit(rows[["age", "spent"]], rows["left"]))
    (folder / "MLmodel").write_text(report_of(folder, data_files=[str(data)], run_id="r1")["mlmodel"])
    loaded = mlflow.pyfunc.load_model(str(folder))
    assert [column.type.name for column in loaded.metadata.signature.inputs] == ["long", "double"]
    assert loaded.predict(FEATURES).tolist() == loaded.predict(rows[["age", "spent"]]).tolist()


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "below/churn.joblib"])
def test_what_only_joblib_reads_becomes_a_model_that_a_plain_client_loads(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    (folder / name).parent.mkdir(parents=True)
    joblib.dump(RandomForestClassifier(n_estimators=5).fit(FEATURES, TABLE["left"]), folder / name, compress=3)
    report = report_of(folder, run_id="r1")
    assert (report["refusal"], report["example_source"], report["pickled_with"]) == (None, "FEATURE_NAMES", "joblib")
    inputs = load_folder(folder).inputs
    (folder / "MLmodel").write_text(report["mlmodel"])
    (folder / "code").mkdir()
    (folder / "code" / "asgard_joblib.py").write_text(Path(asgard_joblib.__file__).read_text())
    program = """
import mlflow, pandas, sys
rows = pandas.DataFrame({"age": [20, 50], "spent": [1.5, 4.5]})
print(mlflow.pyfunc.load_model(sys.argv[1]).predict(rows).tolist())
"""
    command = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(command, cwd=tmp_path, check=True, timeout=120, stdout=subprocess.PIPE)
    assert json.loads(done.stdout) == [0, 1]
    # What is served is what joblib wrote, as it was trained.
    assert load_folder(folder).inputs == inputs
    assert report_of(folder, run_id="r1")["mlmodel"] is None


def test_a_pickle_below_the_folder_is_named_by_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "below").mkdir(parents=True)
    model = LinearRegression().fit(FEATURES, TABLE["left"])
    (folder / "below" / "churn.pkl").write_bytes(pickle.dumps(model))
    (folder / "MLmodel").write_text(report_of(folder, run_id="r1")["mlmodel"])
    assert list(mlflow.pyfunc.load_model(str(folder)).predict(FEATURES)) == list(model.predict(FEATURES))
    assert load_folder(folder).pickled_with == "pickle"


def test_a_model_that_takes_more_memory_than_it_may_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.pkl").write_bytes(b"cbuiltins\nbytearray\n(I8000000000\ntR.")
    request = Request(str(tmp_path / "model"), str(tmp_path / "report.json"), [], 2 * GIB, None)._asdict()
    subprocess.run(
        [sys.executable, "-c", "from asgard.model_check import main; main()"],
        cwd=Path(__file__).parents[1],
        env={"ASGARD_MODEL_CHECK": json.dumps(request)},
        check=True,
        timeout=120,
    )
    assert "MemoryError" in json.loads((tmp_path / "report.json").read_text())["refusal"]
