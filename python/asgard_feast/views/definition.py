"""What a feature view shall be, as the platform hands it to the bridge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Feature:
    """A column of the table, and what is said of it."""

    name: str
    dtype: str
    description: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Definition:
    """A feature view. What the platform's schema can see is checked: names, types, lengths, counts."""

    name: str
    entities: list[str]
    features: list[Feature]
    catalog: str
    schema: str
    table: str
    timestamp_field: str | None
    """The column with the time of each row; None: the only one that can be."""
    created_timestamp_column: str | None
    """The column that decides between rows of one time; None: none does."""
    ttl_seconds: int
    """How old a row may be to count; 0: any."""
    online: bool
    description: str
    owner: str
    tags: dict[str, str]

    @property
    def table_name(self) -> str:
        """As people write it: `iceberg.gold.customer_metrics`."""
        return f"{self.catalog}.{self.schema}.{self.table}"

    @staticmethod
    def of(params: dict[str, Any]) -> Definition:
        """From the platform's JSON, every field there."""
        source = params["source"]
        return Definition(
            name=params["name"],
            entities=params["entities"],
            features=[Feature(f["name"], f["dtype"], f["description"], f["tags"]) for f in params["features"]],
            catalog=source["catalog"],
            schema=source["schema"],
            table=source["tableName"],
            timestamp_field=source["timestampField"],
            created_timestamp_column=source["createdTimestampColumn"],
            ttl_seconds=params["ttlSeconds"],
            online=params["online"],
            description=params["description"],
            owner=params["owner"],
            tags=params["tags"],
        )
