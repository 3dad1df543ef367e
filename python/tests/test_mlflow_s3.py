"""The managed MLflow server's store in S3: what it serves, and what a client is told when S3 fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from boto3.exceptions import Boto3Error, RetriesExceededError, S3UploadFailedError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
)
from mlflow.exceptions import MlflowException

sys.path.append(str(Path(__file__).parents[2] / "src" / "embedded"))
import mlflow_s3

ROOT = "s3://models/team/one/artifacts"
# What MLflow's clients repeat, and then say nothing of but that they did.
REPEATED = {408, 429, 500, 502, 503, 504}


def refused(code: str, status: int) -> ClientError:
    answer = {"Error": {"Code": code, "Message": "secret"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PutObject")


def upload_failed(cause: ClientError) -> S3UploadFailedError:
    try:
        try:
            raise cause
        except ClientError as error:
            raise S3UploadFailedError(f"Failed to upload: {error}")  # noqa: B904, as boto3 does
    except S3UploadFailedError as error:
        return error


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (NoCredentialsError(), 403, "AWS S3 credentials not configured"),
        (ProfileNotFound(profile="x"), 403, "credentials cannot be used (ProfileNotFound)"),
        (refused("SignatureDoesNotMatch", 403), 403, "refuses the platform's credentials"),
        (refused("XAdminUserNotFound", 404), 403, "refuses the platform's credentials"),
        (upload_failed(refused("AccessDenied", 403)), 403, "(AccessDenied)"),
        (refused("NoSuchBucket", 404), 404, "the S3 bucket models does not exist"),
        (upload_failed(refused("NoSuchBucket", 404)), 404, "the S3 bucket models does not exist"),
        (refused("404", 404), 404, "there is no such artifact"),
        (refused("SlowDown", 503), 424, "now (SlowDown); try again"),
        (EndpointConnectionError(endpoint_url="http://x"), 424, "cannot be reached (EndpointConnectionError)"),
        (ReadTimeoutError(endpoint_url="http://x"), 424, "cannot be reached"),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), 424, "cannot be reached"),
        (RetriesExceededError(OSError()), 424, "cannot be reached"),
    ],
)
def test_a_failure_of_s3_is_a_final_answer_that_says_what_is_wrong(
    error: BotoCoreError | ClientError | Boto3Error, status: int, words: str
) -> None:
    told = mlflow_s3._explained(error, "models")
    assert words in told.message
    assert told.get_http_status_code() == status
    assert status not in REPEATED
    assert "secret" not in told.message


@pytest.mark.parametrize("uri", [ROOT, f"{ROOT}/", f"{ROOT}/1/run/artifacts"])
def test_its_own_folder_is_served(uri: str) -> None:
    assert mlflow_s3.ServedS3Store(ROOT, uri).artifact_uri == uri


@pytest.mark.parametrize(
    "uri", ["s3://others/x", "s3://models", "s3://models/team/one/scripts", f"{ROOT}-2/x", f"{ROOT}/../scripts"]
)
def test_nothing_else_is_served(uri: str) -> None:
    with pytest.raises(MlflowException, match="is not served") as raised:
        mlflow_s3.ServedS3Store(ROOT, uri)
    assert raised.value.get_http_status_code() == 400
