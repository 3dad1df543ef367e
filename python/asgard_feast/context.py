"""What a method of the bridge is given: the catalogs, Feast, and the request that it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard_feast.catalogs import CATALOG, Catalogs
from asgard_feast.errors import BridgeError
from asgard_feast.made_at_once import made_at_once

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_config import RepoConfig
    from pyiceberg.catalog import Catalog


@dataclass(frozen=True)
class Settings:
    """What the platform tells the bridge in its first line, secrets included: `{"store": {…}, "folder": "/…"}`."""

    store: dict[str, Any]
    """The content of a `feature_store.yaml`, catalogs and their properties under `offline_store`."""
    folder: Path
    """Of the bridge's own, under the data folder."""

    @property
    def catalogs(self) -> dict[str, dict[str, str]]:
        """pyiceberg's properties of each catalog, by its name."""
        return self.store["offline_store"]["catalogs"]


class Shared:
    """What all requests share. Feast, whose import takes seconds, is loaded in the background."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalogs = Catalogs(settings.catalogs)
        self._lock = threading.Lock()
        self._store: FeatureStore | None = None
        self._import = threading.Thread(target=_import_feast, name="import feast", daemon=True)
        self._import.start()

    def wait_for_feast(self) -> None:
        """Returns once Feast is imported."""
        self._import.join()

    def store(self) -> FeatureStore:
        """Feast's store. Making it reads the registry; while that is away it fails, and the next call tries again."""
        self.wait_for_feast()
        from feast.repo_config import RepoConfig

        with self._lock:
            if self._store is None:
                config = RepoConfig(**self.settings.store)
                config.repo_path = self.settings.folder
                self._store = made_at_once(lambda: _open_store(config))
            return self._store


class Context:
    """One request's view of the bridge."""

    def __init__(
        self, shared: Shared, send_progress: Callable[[dict[str, Any]], None], cancelled: threading.Event
    ) -> None:
        self._shared = shared
        self._send_progress = send_progress
        self._cancelled = cancelled

    @property
    def settings(self) -> Settings:
        """What the bridge was started with."""
        return self._shared.settings

    def catalog(self, name: str = CATALOG) -> Catalog:
        """A pyiceberg catalog. Raises BridgeError NOT_FOUND when there is none of this name."""
        return self._shared.catalogs.get(name)

    def wait_for_feast(self) -> None:
        """Returns once Feast is imported: what imports it meanwhile finds it half-made."""
        self._shared.wait_for_feast()

    @property
    def store(self) -> FeatureStore:
        """Feast's store, shared by all requests: who writes takes a lock of its own."""
        return self._shared.store()

    def progress(self, progress: dict[str, Any]) -> None:
        """Tells the caller how far a long request is."""
        self._send_progress(progress)

    def raise_if_cancelled(self) -> None:
        """To be called between the steps of long work: raises when nobody waits for the answer any more."""
        if self._cancelled.is_set():
            raise BridgeError("UNAVAILABLE", "the request was cancelled")


def _open_store(config: RepoConfig) -> FeatureStore:
    """Feast's store, its registry complete."""
    from feast import FeatureStore

    store = FeatureStore(config=config)
    _complete_registry(store)
    return store


def _complete_registry(store: FeatureStore) -> None:
    """Makes the registry's tables and its row of the project.

    Feast would write that row when the next process opens the registry: one that may only read would fail.
    """
    from feast.errors import ProjectObjectNotFoundException
    from feast.project import Project

    try:
        store.registry.get_project(store.project)
    except ProjectObjectNotFoundException:
        store.registry.apply_project(Project(name=store.project))


def _import_feast() -> None:
    import feast  # noqa: F401
