"""Taking columns off a table, which the feature views that read it must not lose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from feast import FeatureView
from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType

from asgard_feast.catalogs import CATALOG
from asgard_feast.context import Context
from asgard_feast.errors import BridgeError
from asgard_feast.registry.state import RegistryState
from asgard_feast.registry.transaction import registry_change
from asgard_feast.views.checks import ENTITY_DTYPES, is_timestamp
from asgard_feast.views.dtypes import from_feast, holds

_SHOWN = 20


@contextmanager
def taking_columns(context: Context, schema: str, name: str, gone: list[str], after: Schema) -> Iterator[None]:
    """To be held while a table loses the columns `gone` or gets others of their names, as `after` has them.

    No feature view is applied meanwhile. Raises BridgeError CONFLICT naming the views and the columns that they read.
    """
    with registry_change(context.store) as change:
        state = RegistryState.read(change.connection, change.project)
        types = {field.name: field.field_type for field in after.fields}
        missed = []
        for view_name in state.views_of_table(CATALOG, schema, name):
            view = state.view(view_name)
            columns = [] if view is None else _missed(view, gone, types)
            if columns:
                missed.append(f"{view_name} reads {', '.join(columns)}")
        if missed:
            listed = "; ".join(missed[:_SHOWN] + [f"and {len(missed) - _SHOWN} more views"] * (len(missed) > _SHOWN))
            message = (
                f"table {schema}.{name} would lose columns of feature views: {listed}; change or delete those first"
            )
            raise BridgeError("CONFLICT", message)
        yield


def _missed(view: FeatureView, gone: list[str], after: dict[str, IcebergType]) -> list[str]:
    """What of the columns a view reads, and could not any more; each with what becomes of it."""
    missed = []
    for column, is_fit in _needs(view):
        kind = after.get(column)
        if column in gone and (kind is None or not is_fit(kind)):
            missed.append(f'"{column}", which would be {"gone" if kind is None else kind}')
    return missed


def _needs(view: FeatureView) -> Iterator[tuple[str, Callable[[IcebergType], bool]]]:
    """The columns that a view reads, with what each must be."""
    source = view.batch_source
    column_of = {mapped: column for column, mapped in source.field_mapping.items()}
    for field in view.entity_columns:
        yield column_of.get(field.name, field.name), partial(_is_key, from_feast(field.dtype))
    for field in view.features:
        yield column_of.get(field.name, field.name), partial(holds, from_feast(field.dtype))
    for time in (source.timestamp_field, source.created_timestamp_column):
        if time:
            yield column_of.get(time, time), is_timestamp


def _is_key(dtype: str, column: IcebergType) -> bool:
    return ENTITY_DTYPES.get(type(column)) == dtype
