"""What the generated requests are given of the platform that they are sent to, so that they get past its first look-up.

`ASGARD_FUZZ_MODEL` names a registered model, `ASGARD_FUZZ_RUN` a run that has saved one. Half of the valid names become
these; what is not valid stays as it is.
"""

from __future__ import annotations

import os
import re
from typing import Any

import schemathesis

_MODEL = os.environ["ASGARD_FUZZ_MODEL"]
_RUN = os.environ["ASGARD_FUZZ_RUN"]
# Every job that is taken runs. A script that hangs, or that is no Python, would tell nothing of the API.
_SCRIPT = "pass\n"

# A name as the document has it.
_NAME = re.compile(r"[^\s\ufeff\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\ufeff\x00-\x1f\x7f-\x9f])?")


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case, _kwargs: dict[str, Any]) -> None:
    """Puts real names in place of valid ones, and a short script in place of a valid one."""
    path, body = case.operation.path, case.body
    if path.startswith(("/mlops/models/{name}", "/v2/models/{name}")):
        _name_model(case)
    if not isinstance(body, dict):
        return
    if path in ("/mlops/training/upload", "/mlops/deploy"):
        case.body = {**body, **_as_python(body)}
    if path == "/mlops/inference" and _is_chosen(body.get("model_name")):
        case.body = {**body, "model_name": _MODEL}
    if path == "/mlops/registry" and _is_chosen(body.get("run_id")):
        named = {"model_name": _MODEL} if _is_chosen(body.get("model_name")) else {}
        case.body = {**body, **named, "run_id": _RUN}


def _name_model(case: schemathesis.Case) -> None:
    """Puts the real model in place of a valid name, but for a deletion: the others need it."""
    given = case.path_parameters
    if case.method == "DELETE":
        if given.get("name") == _MODEL:
            given["name"] = f"{_MODEL}-not"
        return
    if _is_chosen(given.get("name")):
        given["name"] = _MODEL
    if _is_chosen(given.get("version")):
        given["version"] = "1"


def _as_python(upload: dict[str, Any]) -> dict[str, str]:
    """What in an upload is right by the schema, which says neither what Python is nor all that a file name must be."""
    name, script = upload.get("script_name"), upload.get("script_content")
    given: dict[str, str] = {}
    if isinstance(name, str) and 1 <= len(name) <= 255 and _NAME.fullmatch(name):
        given["script_name"] = "train.py"
    if _is_script(script):
        given["script_content"] = _SCRIPT
    return given


def _is_script(value: object) -> bool:
    return isinstance(value, str) and value.strip() != "" and "\0" not in value


def _is_chosen(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w-]{1,250}", value) is not None and len(value) % 2 == 1
