"""Tries a registered model as it would be served: loads it, has it predict an example, measures, and writes a report.

Runs as a script that is set apart, in the environment that the model was trained in. The report is one JSON object in a
file that is replaced as the check gets on, so that who finds a process that was ended knows how far it came:

    {"stage": "load" | "predict" | "done", "refusal": "…" | null, "warning": "…" | null, "traceback": "…" | null,
     "example_source": "INPUT_EXAMPLE" | "TRAINING_ROWS" | "SIGNATURE" | "FEATURE_NAMES" | null,
     "load_seconds": 0.1 | null, "p50_ms": 2.5 | null, "peak_memory_bytes": 1,
     "signature": {"inputs": "[…]"} | null, "mlmodel": "…" | null, "pickled_with": "pickle" | "joblib" | null}

`refusal` says why the model cannot be served, in one line, and `warning` why one that can be has predicted nothing.
`mlmodel` is the text of an MLmodel for a pickle that has none, and `pickled_with` says what wrote that pickle.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from asgard.model_example import Example, examples
from asgard.model_faults import may_be_the_rows
from asgard.model_loading import LoadedModel, ModelLoadError, load_folder
from asgard.model_outputs import to_rows
from asgard.model_wrapping import wrapped
from asgard.one_thread import use_one_thread

_MOST_PREDICTIONS = 9
_PREDICTING_SECONDS = 0.02  # after the first one, which may be as slow as it likes
_MOST_TRACEBACK = 20_000
_FACTS = (
    *("stage", "refusal", "warning", "traceback", "example_source", "load_seconds", "p50_ms", "signature"),
    *("mlmodel", "pickled_with"),
)


class Request(NamedTuple):
    """What is to be tried, and where the report goes."""

    model: str
    """The folder of its files, or a pickle."""
    report: str
    data_files: list[str]
    """Paths that its training may have read."""
    memory_bytes: int
    """What the process may take."""
    run_id: str | None
    """Of the run that the files are an artifact of: a pickle among them is wrapped. None: it is not."""


def main() -> None:
    """Tries what the variable ASGARD_MODEL_CHECK asks for, as JSON."""
    request = Request(**json.loads(os.environ.pop("ASGARD_MODEL_CHECK")))
    with contextlib.suppress(ValueError, OSError):  # a lower limit is in force already
        resource.setrlimit(resource.RLIMIT_DATA, (request.memory_bytes, request.memory_bytes))
    check(request)
    # What the model has left running or wants to do at the end of its process is no part of the check.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def check(request: Request) -> None:
    """Tries the model and writes the report. Never raises what the model raises."""
    report = _Report(Path(request.report))
    report.write(stage="load")
    try:
        started = time.perf_counter()
        model = _load(Path(request.model))
        use_one_thread(model.raw)
        report.write(stage="predict", load_seconds=round(time.perf_counter() - started, 4))
        example, output = _first_that_works(model, request.data_files, report)
        signature = None if model.metadata is None else model.metadata.signature
        folder = Path(request.model)
        if model.pickled_with is not None and request.run_id is not None and not (folder / "MLmodel").exists():
            with contextlib.suppress(Exception):  # the model works, and is served, without it
                text, signature = wrapped(model, folder, example, output, request.run_id)
                report.write(mlmodel=text, pickled_with=model.pickled_with)
        report.write(stage="done", signature=_signature_dict(signature))
    except (Exception, SystemExit) as error:
        report.write(refusal=_refusal(error, report.stage), traceback=_trace(error), stage="done")


def _load(path: Path) -> LoadedModel:
    try:
        return load_folder(path)
    except AttributeError as error:
        if "__main__" not in str(error):
            raise
        raise ModelLoadError(
            f"it needs a class or function that was defined in the training script itself ({error}); save it with "
            "cloudpickle, or define that in an installed package"
        ) from error


def _first_that_works(model: LoadedModel, data_files: list[str], report: _Report) -> tuple[Example | None, Any]:
    """The example that the model predicts, and what it says; nothing when it takes none of those that are guesses.

    Raises what it raised for its own example, or what no row would mend.
    """
    guesses: list[Exception] = []
    for example in examples(model, data_files):
        report.write(example_source=example.source)
        try:
            started = time.perf_counter()
            output = model.predict(example.rows)
            times = [time.perf_counter() - started]
        except Exception as error:
            if example.source == "INPUT_EXAMPLE" or not may_be_the_rows(error):
                raise
            guesses.append(error)
            continue
        to_rows(output)
        until = time.perf_counter() + _PREDICTING_SECONDS
        while len(times) <= _MOST_PREDICTIONS and time.perf_counter() < until:
            started = time.perf_counter()
            model.predict(example.rows)
            times.append(time.perf_counter() - started)
        # The first one makes things ready that the others find.
        report.write(p50_ms=round(statistics.median(times[1:] or times) * 1000, 4))
        return example, output
    if guesses:
        first = guesses[0]
        said = f"it has predicted nothing, as no row that could be made for it is one that it takes ({_said(first)})"
        advice = "log it by MLflow with an input_example to have it tried"
        report.write(example_source=None, warning=f"{said}; {advice}", traceback=_trace(first))
    return None, None


def _refusal(error: BaseException, stage: str) -> str:
    what = "cannot be loaded" if stage == "load" else "cannot predict an example"
    return f"it {what}: {_said(error)}"


def _said(error: BaseException) -> str:
    said = str(error)
    if not isinstance(error, ModelLoadError):
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return " ".join(said.split())


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-_MOST_TRACEBACK:]


def _signature_dict(signature: Any) -> dict[str, Any] | None:
    return None if signature is None else {name: value for name, value in signature.to_dict().items() if value}


class _Report:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_suffix(".partial")
        self._facts: dict[str, Any] = dict.fromkeys(_FACTS)

    @property
    def stage(self) -> str:
        return str(self._facts["stage"])

    def write(self, **facts: Any) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self._facts |= {**facts, "peak_memory_bytes": peak}
        self._partial.write_text(json.dumps(self._facts))
        os.replace(self._partial, self._path)
