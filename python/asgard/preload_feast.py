"""Imports Feast so that a launcher can fork it: `import feast` alone makes a folder, opens files and sets variables.

All that is for the metrics of Feast's own servers, which gather them from forks in files. A script has none. To be
imported before anything of Feast's.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys

import prometheus_client  # noqa: F401  # before the variables below: it keeps values in memory then

_PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_FOLDERS_OF_METRICS = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")
_MODULES = (
    # What a store that reads Iceberg tables from PostgreSQL's registry and catalog imports when it is made and used.
    "feast",
    "feast.infra.registry.sql",
    "feast.infra.passthrough_provider",
    "feast.infra.online_stores.postgres_online_store.postgres",
    "asgard_feast.offline",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.postgresql.psycopg2",
)


def _import_all() -> None:
    before, path = dict(os.environ), list(sys.path)
    os.environ.update(dict.fromkeys(_FOLDERS_OF_METRICS, ""))
    sys.path.append(_PACKAGE_ROOT)  # where a script finds ours by PYTHONPATH
    try:
        for name in _MODULES:
            with contextlib.suppress(Exception):  # a job's own version of Feast may lack it
                importlib.import_module(name)
    finally:
        sys.path[:] = path
        for name in _FOLDERS_OF_METRICS:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


_import_all()
