"""Turns a model into an ONNX file and proves that it predicts the same, in its own environment with ONNX's packages.

Runs as a script that is set apart. It writes `model.onnx`, and a report that is one JSON object:

    {"refusal": "…" | null, "layout": {"columns": [{"name", "type", "kind", "values"}], "has_names", "inputs": [{"name",
     "kind", "columns"}]}, "outputs": {"predictions", "probabilities" | null, "as": "int" | "bool" | "float" | "text"},
     "proof": {…}, "sample": {"inputs", "predictions", "probabilities"}}

`refusal` says in one line why Python serves the model; then only `proof` may be there too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pandas as pd

from asgard.model_example import examples, training_table
from asgard.model_inputs import to_frame
from asgard.model_loading import LoadedModel, load_folder
from asgard.model_outputs import to_json, to_rows
from asgard_compile.convert import convert
from asgard_compile.ensemble import RefusedError
from asgard_compile.inner_ensembles import inner_ensembles
from asgard_compile.knowledge import Knowledge, knowledge_of
from asgard_compile.layout import GivenColumn, Layout, Rows, feeds, layout_of
from asgard_compile.made_rows import can_be_made, made_rows
from asgard_compile.proof import RELATIVE, Answer, Proof
from asgard_compile.split_rows import count_splits, note_thresholds, split_rows
from asgard_compile.split_steps import SMALLEST, fit_in, is_flag, is_single
from asgard_compile.split_through import Transform

_MADE_ROWS = 2_000
_MOST_TRAINING_ROWS = 5_000
_SAMPLE = 32


class Request(NamedTuple):
    """What is to be compiled, and where to."""

    model: str
    """The folder of its files, or a pickle."""
    folder: str
    """Where the file and the report go."""
    data_files: list[str]
    memory_bytes: int
    largest_file_bytes: int
    proof_seconds: float
    """After them no more splits are begun with: a model with more of them is refused."""


def main() -> None:
    """Compiles what the variable ASGARD_MODEL_COMPILE asks for, as JSON."""
    request = Request(**json.loads(os.environ.pop("ASGARD_MODEL_COMPILE")))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (request.memory_bytes, request.memory_bytes))
    os.nice(15)
    report = compile_model(request)
    partial = Path(request.folder, "report.partial")
    partial.write_text(json.dumps(report))
    os.replace(partial, Path(request.folder, "report.json"))


def compile_model(request: Request) -> dict[str, Any]:
    """The report. Never raises what the model or the conversion raises."""
    warnings.filterwarnings("ignore")
    started = time.perf_counter()
    try:
        return _compile(request, started)
    except RefusedError as error:
        return {"refusal": _line(str(error))}
    except (Exception, SystemExit) as error:
        return {"refusal": _line(f"it cannot be turned into ONNX: {type(error).__name__}: {error}")}


def _compile(request: Request, started: float) -> dict[str, Any]:
    model = load_folder(Path(request.model))
    estimator = model.raw
    if estimator is None or not hasattr(estimator, "get_params"):
        raise RefusedError(f"a {model.kind} is no estimator of scikit-learn, xgboost or lightgbm")
    names = [column.name for column in model.inputs.columns or []]
    names = names or [f"column {number}" for number in range(model.inputs.count or 0)]
    known = knowledge_of(estimator, names)
    layout = layout_of(estimator, model.inputs, known.categories, known.texts)
    trees = inner_ensembles(estimator)
    note_thresholds(trees, layout, known)
    example, training = _seen(model, request.data_files, known)
    unknown = can_be_made(layout, known)
    if unknown is not None:
        raise RefusedError(f"nothing is known of what column '{unknown}' holds")
    onnx = convert(estimator, layout)
    data = onnx.SerializeToString()
    if len(data) > request.largest_file_bytes:
        raise RefusedError(
            f"the compiled model has {len(data) >> 20} MiB, more than {request.largest_file_bytes >> 20}"
        )
    session = _session(data)
    outputs = _outputs(model, session)
    proof = Proof(lambda rows: _original(model, rows), lambda rows: _compiled(session, layout, outputs, rows))
    sample = made_rows(layout, known, _SAMPLE, 1, is_whole=False)
    outputs["as"] = _kind_of(_original(model, sample)[0])
    for source, rows in (("example", example), ("training", training)):
        usable = None if rows is None else _as_request(layout, rows)
        if usable is not None:
            proof.compare(source, usable)
    proof.compare("generated", made_rows(layout, known, _MADE_ROWS, 2, is_whole=False))
    proof.compare("generated", made_rows(layout, known, _MADE_ROWS // 2, 4, is_whole=True))
    splits = count_splits(trees)
    tested = 0
    for rows, count in split_rows(trees, layout, known, lambda before: _features(model, before)):
        proof.compare("splits", _without_tiny(rows))
        tested += count
        if time.perf_counter() - started > request.proof_seconds and tested < splits:
            limit = f"{request.proof_seconds:g} s"
            raise RefusedError(f"rows beside {tested} of the {splits} splits of its trees were compared within {limit}")
    predictions, probabilities = _original(model, sample)
    proof.compare("generated", sample)
    Path(request.folder, "model.onnx").write_bytes(data)
    return {
        "refusal": None,
        "layout": {
            "columns": [column._asdict() for column in layout.columns],
            "has_names": layout.has_names,
            "inputs": [each._asdict() for each in layout.inputs],
        },
        "outputs": outputs,
        "sample": {
            "inputs": sample,
            "predictions": predictions,
            "probabilities": None if probabilities is None else probabilities.tolist(),
        },
        "proof": {
            "rows": proof.counts,
            "splits": splits,
            "splits_tested": tested,
            "largest_difference": proof.largest_difference,
            "tolerance": RELATIVE,
            "versions": {name: version(name) for name in ("onnx", "onnxruntime", "skl2onnx", "scikit-learn")},
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_bytes": len(data),
            "seconds": round(time.perf_counter() - started, 2),
        },
    }


def _session(data: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _outputs(model: LoadedModel, session: onnxruntime.InferenceSession) -> dict[str, Any]:
    names = [output.name for output in session.get_outputs()]
    if model.predict_probabilities is None:
        return {"predictions": names[0], "probabilities": None}
    if len(names) != 2:
        raise RefusedError("it gives something else than labels and probabilities")
    return {"predictions": names[0], "probabilities": names[1]}


def _original(model: LoadedModel, rows: Rows) -> Answer:
    frame = to_frame(rows, model.inputs)
    # numpy's texts are not plain ones
    predictions = [str(value) if isinstance(value, str) else value for value in to_rows(model.predict(frame))]
    if any(isinstance(value, (list, dict)) for value in predictions[:1]):
        raise RefusedError("it has several outputs")
    if model.predict_probabilities is None:
        return predictions, None
    return predictions, np.asarray(to_json(model.predict_probabilities(frame)), dtype=np.float64)


def _compiled(session: onnxruntime.InferenceSession, layout: Layout, outputs: dict[str, Any], rows: Rows) -> Answer:
    names = [name for name in (outputs["predictions"], outputs["probabilities"]) if name is not None]
    labels, *probabilities = session.run(names, feeds(layout, rows))
    casts: dict[str, Any] = {"bool": bool, "int": int, "float": float, "text": str}
    cast = casts[outputs["as"]]
    values = [cast(value) for value in labels.reshape(-1).tolist()]
    return values, np.asarray(probabilities[0], dtype=np.float64) if probabilities else None


def _kind_of(predictions: list[Any]) -> str:
    for kind, of in (("bool", bool), ("int", int), ("float", float), ("text", str)):
        if all(type(value) is of for value in predictions):
            return kind
    raise RefusedError("its predictions are not of one type")


def _seen(
    model: LoadedModel, data_files: list[str], known: Knowledge
) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """The example, and rows that it was trained on, where they are tables; what they hold is noted."""
    example = next(examples(model, data_files), None)
    own = example.rows if example is not None and isinstance(example.rows, pd.DataFrame) else None
    training = training_table(model, data_files)
    training = None if training is None else training.head(_MOST_TRAINING_ROWS)
    is_given = example is not None and example.source == "INPUT_EXAMPLE"
    for table in (own if is_given else None, training):
        if table is not None:
            known.see(table)
    return own, training


def _as_request(layout: Layout, table: pd.DataFrame) -> Rows | None:
    """Its rows as a request would hold them, less those with something missing or unknown; None where it has none."""
    if layout.has_names:
        if not {column.name for column in layout.columns} <= set(table.columns):
            return None
        table = table[[column.name for column in layout.columns]]
    elif len(table.columns) != len(layout.columns):
        return None
    table = table.dropna()
    rows = {column.name: to_json(table.iloc[:, at]) for at, column in enumerate(layout.columns)}
    kept = [row for row in range(len(table)) if all(_fits(rows[column.name][row], column) for column in layout.columns)]
    return {name: [values[row] for row in kept] for name, values in rows.items()} if kept else None


def _fits(value: Any, column: GivenColumn) -> bool:
    if column.values is not None and value not in column.values:
        return False
    if column.kind == "text":
        return isinstance(value, str) and (value.isascii() or column.values is not None)
    if is_flag(column):
        return isinstance(value, bool)
    if not isinstance(value, (int, float)) or (isinstance(value, bool) and column.type is not None):
        return False
    return is_single(column) or float(fit_in(np.asarray(value), column)) == value


def _features(model: LoadedModel, before: list[Any]) -> Transform:
    """What these steps make of a request."""

    def transform(rows: Rows) -> np.ndarray:
        frame = to_frame(rows, model.inputs)
        made: Any = frame if hasattr(before[0], "feature_names_in_") else frame.to_numpy()
        for step in before:
            made = step.transform(made)
        return np.asarray(made.toarray() if hasattr(made, "toarray") else made, dtype=np.float64)

    return transform


def _without_tiny(rows: Rows) -> Rows:
    """Less the rows with a number next to zero, which libraries take for zero: the platform leaves those to Python."""
    count = len(next(iter(rows.values())))
    kept = [
        row
        for row in range(count)
        if not any(isinstance(values[row], float) and 0 < abs(values[row]) < SMALLEST for values in rows.values())
    ]
    return {name: [values[row] for row in kept] for name, values in rows.items()}


def _line(text: str) -> str:
    return " ".join(text.split())[:1000]
