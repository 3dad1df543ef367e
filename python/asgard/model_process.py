"""The model process: holds one model in memory and answers requests, in the environment that the model was trained in.

It runs as a script does, apart from the platform, and loads the model in the folder that ASGARD_MODEL names. It
connects to the UNIX socket `channel` in its working directory, where the platform listens, before any code of the model
runs. One JSON value a line. The first that it sends is `{"ready":true,"flavor":"pickle"|"pyfunc",
"columns":[{"name":"age","type":"double"|null}]|null,"is_row_wise":true,"load_seconds":1.2}`, or
`{"ready":false,"error":"..."}`, after which it exits with 1. Then, for each batch of requests in turn:

    [{"inputs":{"age":[31,45]},"return_probabilities":true}, ...]
    [{"predictions":[0,1],"probabilities":[[0.9,0.1],[0.2,0.8]]|null},
     {"error":{"kind":"invalid_input"|"failed","message":"...","path":["inputs","age",1]|null}}, ...]

`invalid_input` is the caller's to mend, `failed` says what the model raised, and the traceback goes to standard error.
Standard output and error belong to the model's code. It ends at once, whatever the model is doing, when the other end
of the channel is gone.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from asgard.model_answers import encoded, json_line
from asgard.model_batch import answer_batch, said_by
from asgard.model_loading import LoadedModel, ModelLoadError, load_folder
from asgard.one_thread import use_one_thread
from asgard.row_wise import is_row_wise

CHANNEL = "channel"


def main() -> NoReturn:
    """Loads the model and serves it until the channel ends."""
    channel = socket.socket(socket.AF_UNIX)
    channel.connect(CHANNEL)
    threading.Thread(target=_exit_when_deserted, args=(channel.fileno(),), daemon=True).start()
    started = time.perf_counter()
    try:
        model = load_folder(Path(os.environ.pop("ASGARD_MODEL")))
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        _send(channel, {"ready": False, "error": str(error) if isinstance(error, ModelLoadError) else said_by(error)})
        _exit(1)
    use_one_thread(model.raw)
    merges = is_row_wise(model.raw)
    _send(channel, _readiness(model, merges, time.perf_counter() - started))
    gc.freeze()  # a collection in the middle of a request would look through all modules and the model
    for line in channel.makefile("rb"):
        _send_line(channel, encoded(answer_batch(model, json.loads(line), merges)))
    _exit(0)


def _readiness(model: LoadedModel, merges: bool, load_seconds: float) -> dict[str, Any]:
    columns = model.inputs.columns
    return {
        "ready": True,
        "flavor": model.flavor,
        "columns": None if columns is None else [{"name": column.name, "type": column.type} for column in columns],
        "is_row_wise": merges,
        "load_seconds": round(load_seconds, 3),
    }


def _send(channel: socket.socket, message: Any) -> None:
    _send_line(channel, json_line(message))


def _send_line(channel: socket.socket, line: bytes) -> None:
    try:
        channel.sendall(line + b"\n")
    except OSError:
        _exit(0)  # deserted, as below


def _exit_when_deserted(channel_fd: int) -> None:
    """Ends the process when nobody can read an answer any more: a model that hangs must not stay behind."""
    poll = select.poll()
    poll.register(channel_fd, 0)  # an end that is gone is always reported
    poll.poll()
    _exit(0)


def _exit(code: int) -> NoReturn:
    """At once; what the model has started, the runner ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # the model may have put anything there
            continue
    os._exit(code)
