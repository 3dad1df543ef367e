"""What `get_historical_features` answers: a job that reads each view's table once when its rows are asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
from feast.feature_view import FeatureView
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig

from asgard_feast.retrieval.entity_rows import EntityRows
from asgard_feast.retrieval.key_numbers import KeyNumbers, as_key, common_type
from asgard_feast.retrieval.parts import Part, TimeRange
from asgard_feast.retrieval.pins import Pins
from asgard_feast.retrieval.point_in_time import FoundRows, PointInTimeJoin
from asgard_feast.retrieval.reads import Read, Retrieval, report
from asgard_feast.retrieval.scan import SnapshotOfTable
from asgard_feast.retrieval.two_passes import TimedKeys, find, values
from asgard_feast.retrieval.view_columns import ViewColumns

_MICROSECOND = timedelta(microseconds=1)


class HistoricalRetrieval(RetrievalJob):
    """The entity rows in their order with all their columns, then the views' features. Reading again gives the same."""

    def __init__(
        self,
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame,
        on_demand: list[OnDemandFeatureView],
        full_feature_names: bool,
        known_at_the_time: bool,
    ) -> None:
        """Raises ValueError when something that is needed is not in the tables or in `entity_df`."""
        super().__init__()
        self._entities = EntityRows(entity_df)
        self._on_demand = on_demand
        self._full_feature_names = full_feature_names
        self._known_at_the_time = known_at_the_time
        self._metadata = RetrievalMetadata(
            features=feature_refs,
            keys=[name for name in entity_df.columns if name != self._entities.time_column],
            min_event_timestamp=self._entities.first,
            max_event_timestamp=self._entities.last,
        )
        pins = Pins.of()
        tables: dict[str, SnapshotOfTable] = {}  # views of one table see one snapshot
        self._views: list[tuple[ViewColumns, SnapshotOfTable, dict[str, pa.DataType]]] = []
        for view in feature_views:
            columns = ViewColumns.of(view, feature_refs, full_feature_names)
            opened = SnapshotOfTable.open(config, columns.source, pins)
            table = tables.setdefault(opened.name, opened)
            self._views.append((columns, table, self._key_types(columns, table)))
        self._check_names()
        self._reads: list[Read] | None = []
        """What is to be told of; None once that is done."""

    @property
    def full_feature_names(self) -> bool:
        """Whether features are called `view__feature`."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """Views that Feast computes from the result."""
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata:
        """What was asked for."""
        return self._metadata

    def to_arrow(self, validation_reference: Any = None, timeout: int | None = None) -> pa.Table:
        """As Feast's own. The first time, the platform is told what was read, also when that was of no use."""
        result = None
        try:
            result = super().to_arrow(validation_reference=validation_reference, timeout=timeout)
            return result
        finally:
            if self._reads:
                reads, self._reads = self._reads, None
                report(reads, result)

    def to_df(self, validation_reference: Any = None, timeout: int | None = None) -> pd.DataFrame:
        """As Feast's own, which holds the rows three times for a moment; this holds them once and a column."""
        table = self.to_arrow(validation_reference=validation_reference, timeout=timeout)
        return table.to_pandas(split_blocks=True, self_destruct=True)

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        result = self._entities.table
        reads: list[Read] = []
        for view, table, key_types in self._views:
            joined = self._join(view, table, key_types)
            for name, column in zip(view.results, view.features.values(), strict=True):
                result = result.append_column(name, joined.column(column))
            snapshot_id = None if table.snapshot_id is None else str(table.snapshot_id)
            how = Retrieval(view.registered, view.join_keys, self._full_feature_names)
            reads.append(Read(view.view, list(view.features), table.name, snapshot_id, result.num_rows, how))
        if self._reads is not None:
            self._reads = reads
        return result

    def _join(self, view: ViewColumns, table: SnapshotOfTable, key_types: dict[str, pa.DataType]) -> pa.Table:
        """The view's columns for each entity row."""
        found, parts = self._found(view, table, key_types)
        return values(found, parts, table.schema(list(dict.fromkeys(view.features.values()))))

    def _found(
        self, view: ViewColumns, table: SnapshotOfTable, key_types: dict[str, pa.DataType]
    ) -> tuple[FoundRows, list[Part]]:
        """The rows of the view's table: what finding them needed is given up before their values are read."""
        entities = self._entities
        own = [as_key(entities.table.column(view.keys[name]), key_type) for name, key_type in key_types.items()]
        numbers = KeyNumbers()
        join = PointInTimeJoin(numbers.number(own, entities.table.num_rows), entities.times, self._known_at_the_time)
        first, last = entities.first, entities.last
        parts: list[Part] = []
        if first is not None and last is not None:
            in_time = TimeRange(None if view.ttl is None else first - view.ttl, last)
            keys = TimedKeys(numbers, key_types, view.time, view.created)
            parts = find(join, keys, table.parts(view.read, view.time, in_time))
        return join.found(None if view.ttl is None else view.ttl // _MICROSECOND), parts

    def _key_types(self, view: ViewColumns, table: SnapshotOfTable) -> dict[str, pa.DataType]:
        """For each of the table's key columns the type in which it and the entity_df's are compared."""
        schema = table.schema(view.read)  # tells of a column that the table has not, before anything is read
        there = self._entities.table.schema
        types = {}
        for column, entity in view.keys.items():
            if entity not in there.names:
                raise ValueError(
                    f"entity_df has no column {entity}, by which {view.view} is joined; it has {', '.join(there.names)}"
                )
            ours, theirs = there.field(entity).type, schema.field(column).type
            common = common_type(ours, theirs)
            if common is None:
                raise ValueError(
                    f"{entity} of entity_df is {ours} and {column} of {table.name} is {theirs}:"
                    " they are never equal; convert the one in entity_df"
                )
            types[column] = common
        return types

    def _check_names(self) -> None:
        """A result with two columns of one name would hide one of them."""
        names = set(self._entities.table.schema.names)
        for view, _, _ in self._views:
            for name in view.results:
                if name in names:
                    raise ValueError(
                        f"{name} of {view.view} would be a second column {name}: rename the one in entity_df,"
                        " or ask for full_feature_names"
                    )
                names.add(name)
