"""Answers several requests for predictions at once.

Where each row's prediction depends on that row alone, requests are merged into one call of the model, which costs
little more than one of them would. Only those are merged whose columns have the same names and kinds of values, so that
the model is given each row as it would be given it alone; and should that call fail, each is tried alone, so that the
fault of one is answered to that one.
"""

from __future__ import annotations

import traceback
from typing import Any

from asgard.model_inputs import InvalidInputError, to_frame
from asgard.model_loading import LoadedModel
from asgard.model_outputs import to_json, to_rows

_MAX_SAID = 4_000
_EXACT = 2**53  # a column with larger whole numbers may become one of another type


def answer_batch(model: LoadedModel, requests: list[Any], is_row_wise: bool) -> list[dict[str, Any]]:
    """An answer for each request, as `model_process.py` describes them."""
    answers: dict[int, dict[str, Any]] = {}
    if is_row_wise and len(requests) > 1:
        for numbers in _groups(requests):
            answers.update(_answer_merged(model, requests, numbers))
    return [
        answers[number] if number in answers else _answer(model, request) for number, request in enumerate(requests)
    ]


def _groups(requests: list[Any]) -> list[list[int]]:
    """Numbers of requests that may be merged, in lists of two or more."""
    groups: dict[Any, list[int]] = {}
    for number, request in enumerate(requests):
        key = _key_of(request)
        if key is not None:
            groups.setdefault(key, []).append(number)
    return [numbers for numbers in groups.values() if len(numbers) > 1]


def _key_of(request: Any) -> Any:
    """Equal for requests that may be merged; None for one that goes alone."""
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), dict):
        return None
    kinds: list[Any] = [request.get("return_probabilities", False)]
    count = None
    for name, values in request["inputs"].items():
        if not isinstance(values, list) or not values or count not in (None, len(values)):
            return None
        count = len(values)
        found = frozenset(map(type, values))
        if int in found and any(isinstance(value, int) and not -_EXACT <= value <= _EXACT for value in values):
            return None
        kinds.append((name, found))
    return tuple(kinds) if isinstance(kinds[0], bool) else None


def _answer_merged(model: LoadedModel, requests: list[Any], numbers: list[int]) -> dict[int, dict[str, Any]]:
    """Answers by number; none when they could not be had together."""
    inputs = [requests[number]["inputs"] for number in numbers]
    merged = {name: [value for each in inputs for value in each[name]] for name in inputs[0]}
    counts = [len(next(iter(each.values()))) for each in inputs]
    try:
        answer = _predict(model, merged, bool(requests[numbers[0]].get("return_probabilities", False)))
    except (Exception, SystemExit):
        return {}
    predictions, probabilities = answer["predictions"], answer["probabilities"]
    if any(rows is not None and len(rows) != sum(counts) for rows in (predictions, probabilities)):
        return {}
    answers: dict[int, dict[str, Any]] = {}
    start = 0
    for number, count in zip(numbers, counts, strict=True):
        end = start + count
        part = None if probabilities is None else probabilities[start:end]
        answers[number] = {"predictions": predictions[start:end], "probabilities": part}
        start = end
    return answers


def _answer(model: LoadedModel, request: Any) -> dict[str, Any]:
    try:
        if not isinstance(request, dict):
            raise InvalidInputError("the request is not a JSON object", [])
        wants_probabilities = request.get("return_probabilities", False)
        if not isinstance(wants_probabilities, bool):
            raise InvalidInputError("return_probabilities must be true or false", ["return_probabilities"])
        return _predict(model, request.get("inputs"), wants_probabilities)
    except InvalidInputError as error:
        return _error("invalid_input", str(error), error.path)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        return _error("failed", said_by(error), None)


def _predict(model: LoadedModel, inputs: Any, wants_probabilities: bool) -> dict[str, Any]:
    if wants_probabilities and model.predict_probabilities is None:
        raise InvalidInputError(
            f"return_probabilities: this model ({model.kind}) gives no probabilities", ["return_probabilities"]
        )
    frame = to_frame(inputs, model.inputs)
    predictions = to_rows(model.predict(frame))
    probabilities = None
    if wants_probabilities and model.predict_probabilities is not None:
        probabilities = to_json(model.predict_probabilities(frame))
        if not _are_rows(probabilities):
            raise InvalidInputError(
                f"return_probabilities: this model ({model.kind}) has several outputs, and no one row of probabilities",
                ["return_probabilities"],
            )
    return {"predictions": predictions, "probabilities": probabilities}


def _are_rows(probabilities: Any) -> bool:
    """Whether it has a list of numbers for each row, by the first one. Of several outputs it has a list of such."""
    if not isinstance(probabilities, list):
        return False
    return all(isinstance(row, list) and not any(isinstance(value, list) for value in row) for row in probabilities[:1])


def _error(kind: str, message: str, path: list[str | int] | None) -> dict[str, Any]:
    return {"error": {"kind": kind, "message": message, "path": path}}


def said_by(error: BaseException) -> str:
    """One line for an exception: its type and message, cut where they are very long, as when they show all rows."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text if len(text) <= _MAX_SAID else f"{text[:_MAX_SAID]}…"
