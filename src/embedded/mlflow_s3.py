"""MLflow's store of artifacts in S3, as the managed server uses it.

MLflow's own store is used for everything that touches a file. What differs:

- All bytes pass the server. MLflow's store offers its clients signed addresses, so that they talk to S3 themselves:
  then a script or a model worker needs a way to the S3 server, and what it sends passes the gateway by.
- It serves its own folder of the bucket alone. A client may create an experiment at any `s3://…`, and MLflow would read
  there for it with the platform's credentials.
- A failure of S3 is an answer that says what is wrong, and it is final. MLflow answers nearly all of them with 500,
  which its clients repeat for minutes, whatever it is, and then say no word of it. So a server that is away is waited
  for here, half a minute for an upload, and no answer has a status that is repeated.
- One connection pool for as long as the process lives, with bounded waiting.
"""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
)
from mlflow.entities import FileInfo
from mlflow.environment_variables import MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE, MLFLOW_S3_ENDPOINT_URL
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)
from mlflow.store.artifact import artifact_repository_registry
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

# Between the tries of an upload while S3 is away. What is read can be asked for again.
UPLOAD_PAUSES_SECONDS = (1, 2, 4, 8, 16)
FAILED_DEPENDENCY = 424
MISSING_KEYS = ("NoSuchKey", "404", "NotFound")
BUSY = ("SlowDown", "RequestTimeout", "ThrottlingException", "Throttling", "RequestTimeTooSkewed")

T = TypeVar("T")


def use_for_s3(destination: str) -> None:
    """Makes this the store of every `s3://` address, of which it takes those under `destination`."""

    def store(
        artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> ArtifactRepository:
        return ServedS3Store(destination, artifact_uri, tracking_uri, registry_uri)

    artifact_repository_registry._artifact_repository_registry.register("s3", store)


class S3AwayError(MlflowException):
    """S3 does not answer, or cannot serve now."""

    def __init__(self, message: str) -> None:
        super().__init__(message, TEMPORARILY_UNAVAILABLE)

    def get_http_status_code(self) -> int:
        """Another than 503, which MLflow's clients repeat and then hide."""
        return FAILED_DEPENDENCY


class ServedS3Store(ArtifactRepository):
    """The artifacts under one address in the platform's bucket."""

    def __init__(
        self, destination: str, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        root = destination.rstrip("/")
        inside = artifact_uri.rstrip("/")
        if inside != root and not (inside.startswith(f"{root}/") and ".." not in inside.split("/")):
            raise MlflowException(
                f"{artifact_uri} is not served: this server keeps its artifacts under mlflow-artifacts:/ alone",
                INVALID_PARAMETER_VALUE,
            )
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self._s3 = _S3(artifact_uri, tracking_uri=tracking_uri, registry_uri=registry_uri)
        self._bucket = root.removeprefix("s3://").partition("/")[0]

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Stores one file, which is how clients send them."""
        for pause in UPLOAD_PAUSES_SECONDS:
            try:
                return self._said(lambda: self._s3.log_artifact(local_file, artifact_path))
            except S3AwayError:
                time.sleep(pause)
        return self._said(lambda: self._s3.log_artifact(local_file, artifact_path))

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Stores all files of a folder."""
        self._said(lambda: self._s3.log_artifacts(local_dir, artifact_path))

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """What lies directly in a folder."""
        return self._said(lambda: self._s3.list_artifacts(path))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Removes a file, or a folder with all that is in it."""
        self._said(lambda: self._s3.delete_artifacts(artifact_path))

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> str:
        """One file, which is what clients fetch; a folder as MLflow does it. Saves MLflow's look for a folder first."""
        if not artifact_path or dst_path is None:
            return super().download_artifacts(artifact_path, dst_path)
        local_path = os.path.join(dst_path, posixpath.basename(artifact_path))
        try:
            self._download_file(artifact_path, local_path)
            return local_path
        except MlflowException as error:
            is_folder = error.error_code == "RESOURCE_DOES_NOT_EXIST" and self.list_artifacts(artifact_path)
            if not is_folder:
                raise
        return super().download_artifacts(artifact_path, dst_path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._said(lambda: self._s3._download_file(remote_file_path, local_path))

    def _said(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (BotoCoreError, ClientError, Boto3Error) as error:
            raise _explained(error, self._bucket) from error


class _S3(S3ArtifactRepository):
    def _get_s3_client(self) -> Any:
        return _client()


@cache
def _client() -> Any:
    session = boto3.Session()
    if session.get_credentials() is None:
        raise NoCredentialsError  # which is not kept: the next call looks again
    return session.client(
        "s3",
        endpoint_url=MLFLOW_S3_ENDPOINT_URL.get(),
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE.get()},
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 3},
            max_pool_connections=32,
        ),
    )


def _explained(error: Exception, bucket: str) -> MlflowException:
    """What a client is told. No message of S3's is in it: some repeat what they were sent."""
    # boto3 wraps what an upload failed of, and says what only in its text.
    cause = error.__cause__ or error.__context__
    if isinstance(error, Boto3Error) and isinstance(cause, (BotoCoreError, ClientError)):
        error = cause
    if isinstance(error, NoCredentialsError):
        return MlflowException("AWS S3 credentials not configured: this server keeps no artifacts", PERMISSION_DENIED)
    name = type(error).__name__
    if isinstance(error, BotoCoreError) and not isinstance(
        error, (ConnectionError, HTTPClientError, IncompleteReadError)
    ):
        # A profile that is not there, a token that cannot be read: nothing was sent.
        return MlflowException(f"the platform's AWS credentials cannot be used ({name})", PERMISSION_DENIED)
    if not isinstance(error, ClientError):
        return S3AwayError(f"the S3 server of bucket {bucket} cannot be reached ({name}); try again when it is up")
    code = error.response.get("Error", {}).get("Code", "unknown")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if code == "NoSuchBucket":
        return MlflowException(f"the S3 bucket {bucket} does not exist", RESOURCE_DOES_NOT_EXIST)
    if code in MISSING_KEYS:
        return MlflowException("there is no such artifact", RESOURCE_DOES_NOT_EXIST)
    if code in BUSY or status >= 500:
        return S3AwayError(f"S3 cannot serve bucket {bucket} now ({code}); try again")
    return MlflowException(f"S3 refuses the platform's credentials for bucket {bucket} ({code})", PERMISSION_DENIED)
