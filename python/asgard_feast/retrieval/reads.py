"""Tells the platform which features a job read, so that its run and its model can name them, and shows it some rows.

The platform's gateway takes it with the job's own token. Elsewhere, where the variables below are not set, nothing is
sent.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

from asgard_feast.retrieval.training_rows import training_rows

_PATH = "/api/2.0/asgard/feature-reads"
_TIMEOUT_SECONDS = 5
_PAUSES_SECONDS = (0.2, 1.0)
_MAX_READS = 100
"""As many as the platform takes at once (`src/jobs/feature-reads.ts`)."""
_logger = logging.getLogger("asgard_feast")


@dataclass(frozen=True)
class Retrieval:
    """How the training set came by a view's features: by it a model's columns are found again in the online store."""

    view: str
    """The view's name in the registry, where the read's `feature_view` may be an alias."""
    join_keys: dict[str, str]
    """The view's join keys to the columns of the entity rows."""
    full_feature_names: bool


@dataclass(frozen=True)
class Read:
    """One view of one retrieval."""

    feature_view: str
    features: list[str]
    table: str
    """`iceberg.gold.customer_metrics`."""
    snapshot_id: str | None
    """As text: it has more digits than JSON's readers keep. None: the table had no rows yet."""
    entity_rows: int
    retrieval: Retrieval


def report(reads: Sequence[Read], result: pa.Table | None) -> None:
    """Sends it, in as many reports as it takes, trying each three times; the first has some rows of the result.

    A failure is a warning in the log: the script has its rows all the same. The variable ASGARD_TRAINING_SAMPLE, if it
    is `off`, says that rows stay with the script.
    """
    address, token = os.environ.get("MLFLOW_TRACKING_URI"), os.environ.get("MLFLOW_TRACKING_TOKEN")
    if not reads or not address or not token or not os.environ.get("ASGARD_JOB_ID"):
        return
    run_id, rows = _active_run(), _encoded_rows(result)
    for start in range(0, len(reads), _MAX_READS):
        some = [asdict(read) for read in reads[start : start + _MAX_READS]]
        body = {"reads": some, "run_id": run_id, "training_rows": rows if start == 0 else None}
        request = urllib.request.Request(
            address.rstrip("/") + _PATH,
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            _send(request)
        except (OSError, ValueError) as error:
            # The others would wait as long for a platform that does not answer.
            views = ", ".join(read.feature_view for read in reads[start:])
            _logger.warning("what was read of %s could not be reported to %s: %s", views, address, error)
            return


def _encoded_rows(result: pa.Table | None) -> str | None:
    if result is None or os.environ.get("ASGARD_TRAINING_SAMPLE") == "off":
        return None
    try:
        rows = training_rows(result)
    except Exception as error:  # whatever it is, the script is not to fail for it
        _logger.warning("no rows of the training set could be sent: %s", error)
        return None
    return None if rows is None else base64.b64encode(rows).decode()


def _send(request: urllib.request.Request) -> None:
    """Raises OSError when the last try failed, or at once when the platform refuses."""
    for pause in (*_PAUSES_SECONDS, None):
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):
                return
        except urllib.error.HTTPError as error:
            with error:
                if pause is None or error.code < 500:
                    raise OSError(f"{error}: {error.read(300).decode(errors='replace')}") from error
        except OSError:
            if pause is None:
                raise
        time.sleep(pause)


def _active_run() -> str | None:
    """The id of MLflow's run that is open in this thread, when the script uses MLflow."""
    mlflow = sys.modules.get("mlflow")
    run = mlflow.active_run() if mlflow is not None else None
    return None if run is None else run.info.run_id
