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


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case, _kwargs: dict[str, Any]) -> None:
    """Puts real names in place of valid ones, and a short script in place of a valid one."""
    path, body = case.operation.path, case.body
    if path == "/mlops/models/{name}" and _is_chosen(case.path_parameters.get("name")):
        case.path_parameters["name"] = _MODEL
    if not isinstance(body, dict):
        return
    if path == "/mlops/training/upload" and _is_script(body.get("script_content")):
        case.body = {**body, "script_content": _SCRIPT}
    if path == "/mlops/inference" and _is_chosen(body.get("model_name")):
        case.body = {**body, "model_name": _MODEL}
    if path == "/mlops/registry" and _is_chosen(body.get("run_id")):
        case.body = {**body, "run_id": _RUN}


def _is_script(value: object) -> bool:
    return isinstance(value, str) and value.strip() != "" and "\0" not in value


def _is_chosen(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w-]{1,250}", value) is not None and len(value) % 2 == 1
