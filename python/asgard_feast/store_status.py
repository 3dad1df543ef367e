"""Whether catalog and registry answer."""

from __future__ import annotations

from typing import Any

from asgard_feast.context import Context


def status(context: Context, _params: dict[str, Any]) -> dict[str, Any]:
    """Looks at the catalog and the registry, and makes their tables where they are missing.

    `{"namespaces": 2, "feature_views": 3}`; raises what the one that does not answer raises.
    """
    namespaces = len(context.catalog().list_namespaces())
    return {"namespaces": namespaces, "feature_views": len(context.store.list_feature_views())}


def check_catalog(context: Context, _params: dict[str, Any]) -> None:
    """Raises what a catalog that does not answer raises."""
    context.catalog().list_namespaces()
