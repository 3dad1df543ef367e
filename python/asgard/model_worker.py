"""The model worker: holds one model in memory and answers requests, in the environment that the model was trained in.

    python -I model_worker.py --requests-fd 3 --responses-fd 4 --model-uri models:/churn/3 --cache-dir DIR

One JSON object a line. The first response is `{"ready":true,"flavor":"pickle"|"pyfunc","columns":[{"name":"age",
"type":"double"|null}]|null,"load_seconds":1.2,"memory_bytes":1}`, or `{"ready":false,"error":"..."}`, after which it
exits with 1. Then, for each request in turn, of which any number may be sent ahead:

    {"id":1,"inputs":{"age":[31,45]},"return_probabilities":true}
    {"id":1,"predictions":[0,1],"probabilities":[[0.9,0.1],[0.2,0.8]]|null,"seconds":0.02}
    {"id":1,"error":{"kind":"invalid_input"|"failed","message":"...","path":["inputs","age",1]|null}}

`invalid_input` is the caller's to mend, `failed` says what the model raised, and the traceback goes to standard error.
Standard output and error belong to the model's code. It exits with 0 at the end of the requests, and at once, whatever
the model is doing, when the other end of the responses is gone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

# Run with -I, Python looks for modules in its own library alone. The package's folder is added for these imports only,
# so that a model's code finds nothing of ours in its way.
_package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(_package_root)
from asgard.model_inputs import InvalidInputError, to_frame  # noqa: E402
from asgard.model_loading import LoadedModel, ModelLoadError, load  # noqa: E402
from asgard.model_outputs import to_json, to_rows  # noqa: E402

sys.path.remove(_package_root)


def main() -> int:
    """Serves until the requests end; returns the exit code."""
    arguments = _arguments()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of a terminal's processes; ours is told otherwise
    for fd in (arguments.requests_fd, arguments.responses_fd):
        os.set_inheritable(fd, False)  # a process that the model starts must not hold them open
    threading.Thread(target=_exit_when_deserted, args=(arguments.responses_fd,), daemon=True).start()
    with os.fdopen(arguments.requests_fd, "rb") as requests, os.fdopen(arguments.responses_fd, "wb") as responses:
        started = time.perf_counter()
        try:
            model = load(arguments.model_uri, arguments.cache_dir)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            message = str(error) if isinstance(error, ModelLoadError) else _said_by(error)
            _send(responses, {"ready": False, "error": message})
            return 1
        _send(responses, _readiness(model, time.perf_counter() - started))
        for line in requests:
            _send(responses, answer(model, line))
    return 0


def answer(model: LoadedModel, line: bytes) -> dict[str, Any]:
    """The response to one request."""
    request_id: Any = None
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise InvalidInputError("the request is not a JSON object", [])
        request_id = request.get("id")
        return {"id": request_id, **_predict(model, request)}
    except InvalidInputError as error:
        return _error(request_id, "invalid_input", str(error), error.path)
    except json.JSONDecodeError as error:
        return _error(request_id, "invalid_input", f"the request is no JSON: {error}", [])
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        return _error(request_id, "failed", _said_by(error), None)


def _predict(model: LoadedModel, request: dict[str, Any]) -> dict[str, Any]:
    started = time.perf_counter()
    wants_probabilities = request.get("return_probabilities", False)
    if not isinstance(wants_probabilities, bool):
        raise InvalidInputError("return_probabilities must be true or false", ["return_probabilities"])
    if wants_probabilities and model.predict_probabilities is None:
        raise InvalidInputError(
            f"return_probabilities: this model ({model.kind}) gives no probabilities", ["return_probabilities"]
        )
    frame = to_frame(request.get("inputs"), model.inputs)
    predictions = to_rows(model.predict(frame))
    probabilities = None
    if wants_probabilities and model.predict_probabilities is not None:
        probabilities = to_json(model.predict_probabilities(frame))
    return {
        "predictions": predictions,
        "probabilities": probabilities,
        "seconds": round(time.perf_counter() - started, 6),
    }


def _readiness(model: LoadedModel, load_seconds: float) -> dict[str, Any]:
    columns = model.inputs.columns
    return {
        "ready": True,
        "flavor": model.flavor,
        "columns": None if columns is None else [{"name": column.name, "type": column.type} for column in columns],
        "load_seconds": round(load_seconds, 3),
        "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _error(request_id: Any, kind: str, message: str, path: list[str | int] | None) -> dict[str, Any]:
    return {"id": request_id, "error": {"kind": kind, "message": message, "path": path}}


def _said_by(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _send(responses: BinaryIO, message: dict[str, Any]) -> None:
    # In ASCII: a text may hold half of a surrogate pair, which UTF-8 cannot carry and an escape can.
    data = json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
    try:
        responses.write(data)
        responses.flush()
    except BrokenPipeError:
        os._exit(0)  # deserted, as below


def _exit_when_deserted(responses_fd: int) -> None:
    """Ends the process when nobody can read a response any more: a model that hangs must not stay behind."""
    poll = select.poll()
    poll.register(responses_fd, 0)  # an end that is gone is always reported
    poll.poll()
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # with what the model has started
    os._exit(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serves one model over two pipes.")
    parser.add_argument("--requests-fd", type=int, required=True, help="descriptor that requests are read from")
    parser.add_argument("--responses-fd", type=int, required=True, help="descriptor that responses are written to")
    parser.add_argument("--model-uri", required=True, help="models:/name/version, or any URI or path of a model")
    parser.add_argument("--cache-dir", type=Path, required=True, help="folder that keeps downloaded models")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
