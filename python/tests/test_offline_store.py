"""`IcebergOfflineStore` behind Feast's own FeatureStore, on real Iceberg tables, beside Feast's store on DuckDB."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureService, Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64
from pandas.testing import assert_frame_equal
from pyiceberg.types import LongType

from asgard_feast.retrieval.reads import Read, Retrieval, report
from asgard_feast.retrieval.training_rows import training_rows
from tests.feature_shop import DAY, START, Shop, arrow

FEATURES = ["metrics:total", "metrics:average", "regional:visits", "regional:label"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


def some_entities(count: int = 700) -> pd.DataFrame:
    """Known and unknown customers, one missing, rows twice, in no order, and a column that is nobody's."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "target": random.random(count),
            "customer_id": random.integers(0, 45, count).astype(float),
            "event_timestamp": START.tz_localize(None) + pd.to_timedelta(random.integers(-24, 24 * 24, count), "h"),
            "region": random.choice(["north", "south", "østre", "west"], count),
        }
    )
    frame.loc[5, "customer_id"] = np.nan
    return pd.concat([frame, frame[:20]], ignore_index=True)


def by_merge_asof(entities: pd.DataFrame, rows: pd.DataFrame, keys: list[str], ttl: timedelta | None) -> pd.DataFrame:
    """pandas' join of the rows that are in the table, in the entities' order."""
    left = entities.assign(
        at=pd.to_datetime(entities.event_timestamp, utc=True).astype("datetime64[us, UTC]"), order=range(len(entities))
    ).sort_values("at")
    right = rows.assign(at=pd.to_datetime(rows.event_timestamp, utc=True).astype("datetime64[us, UTC]"), then=0)
    right["then"] = right["at"]
    right = right.sort_values(["at", *(["created"] if "created" in rows else [])])
    right = right.drop_duplicates(["at", *keys], keep="last").drop(columns="event_timestamp")
    right = right.astype({"customer_id": float})
    merged = pd.merge_asof(left, right, on="at", by=keys, tolerance=ttl).sort_values("order")
    return merged.reset_index(drop=True)


def test_equals_feasts_own_join_and_pandas_on_random_rows(shop: Shop) -> None:
    entities = some_entities()
    ours = shop.store.get_historical_features(entity_df=entities, features=FEATURES).to_df()
    # The order of rows is the caller's.
    assert ours.target.tolist() == entities.target.tolist()
    for view, keys, ttl in (("metrics", ["customer_id"], 3 * DAY), ("regional", ["customer_id", "region"], None)):
        wanted = by_merge_asof(entities, shop.rows[view], keys, ttl)
        features = [name.split(":")[1] for name in FEATURES if name.startswith(view)]
        assert wanted[features[0]].notna().sum() > 100
        assert_frame_equal(ours[features], wanted[features], check_dtype=False)
    stock = shop.stock.get_historical_features(entity_df=entities, features=FEATURES).to_df()
    order = ["target", "customer_id", "event_timestamp", "region"]
    assert_frame_equal(
        ours.sort_values(order, ignore_index=True),
        stock.sort_values(order, ignore_index=True),
        check_dtype=True,
    )


def test_what_was_created_after_the_entity_rows_time_can_be_left_out(shop: Shop) -> None:
    entities = some_entities()
    asked = {"entity_df": entities, "features": FEATURES[:2], "filter_by_created_timestamp": True}
    ours = shop.store.get_historical_features(**asked).to_df()
    stock = shop.stock.get_historical_features(**asked).to_df()
    assert ours.total.notna().sum() > 100
    order = ["target", "customer_id", "event_timestamp"]
    assert_frame_equal(ours.sort_values(order, ignore_index=True), stock.sort_values(order, ignore_index=True))


def test_a_row_as_old_as_the_ttl_counts_and_one_a_microsecond_older_does_not(shop: Shop) -> None:
    at = pd.Timestamp("2025-03-01T12:00:00.000001")
    shop.table("edges", pd.DataFrame({"customer_id": [1], "event_timestamp": [at], "edge": [7]}))
    shop.view("edges", "edges", [Field(name="edge", dtype=Int64)], ttl=DAY)
    microsecond = timedelta(microseconds=1)
    times = [at, at - microsecond, at + DAY, at + DAY + microsecond]
    paris = [time.tz_localize("UTC").tz_convert("Europe/Paris") for time in times]
    for given in (
        times,
        paris,
        [time.isoformat(timespec="microseconds") for time in times],
        [time.to_pydatetime() for time in paris],
    ):
        entities = pd.DataFrame({"customer_id": 1, "event_timestamp": given})
        result = shop.store.get_historical_features(entity_df=entities, features=["edges:edge"]).to_df()
        assert result.edge.fillna(-1).tolist() == [7, -1, 7, -1]
        assert str(result.event_timestamp.dtype) == "datetime64[us, UTC]"


@pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature")
def test_the_guides_call_has_full_names_services_and_views_on_demand(shop: Shop) -> None:
    @on_demand_feature_view(
        sources=[shop.metrics, RequestSource(name="asked", schema=[Field(name="target", dtype=Float64)])],
        schema=[Field(name="twice", dtype=Float64)],
    )
    def derived(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"twice": inputs["total"] * 2.0 + inputs["target"] * 0})

    service = FeatureService(name="churn", features=[shop.metrics[["total"]], derived])
    shop.store.apply([derived, service])
    entities = pd.DataFrame({"customer_id": [1, 2, 4], "event_timestamp": pd.to_datetime("2025-01-15"), "target": 0.0})
    result = shop.store.get_historical_features(entity_df=entities, features=service).to_df()
    assert result.total.notna().all()
    assert (result.twice == 2 * result.total).all()
    full = shop.store.get_historical_features(
        entity_df=entities, features=["metrics:total", "metrics:average"], full_feature_names=True
    ).to_df()
    assert list(full.columns) == [*entities.columns, "metrics__total", "metrics__average"]
    assert full.metrics__total.tolist() == result.total.tolist()


def test_columns_and_keys_may_have_other_names_than_the_tables(shop: Shop) -> None:
    shop.view(
        "mapped",
        "metrics",
        [Field(name="sum_of_all", dtype=Int64)],
        created_timestamp_column="created",
        field_mapping={"total": "sum_of_all"},
    )
    entities = pd.DataFrame({"buyer": [1, 2], "customer_id": [9, 9], "event_timestamp": pd.to_datetime("2025-01-15")})
    buyers = shop.store.get_feature_view("mapped").with_name("buyers").with_join_key_map({"customer_id": "buyer"})
    own = shop.store.get_feature_view("mapped").with_name("own")
    service = FeatureService(name="buyers", features=[buyers, own])
    shop.store.apply([service])
    result = shop.store.get_historical_features(entity_df=entities, features=service, full_feature_names=True).to_df()
    of_buyers = shop.store.get_historical_features(
        entity_df=entities.assign(customer_id=entities.buyer), features=["metrics:total"]
    ).to_df()
    assert result.buyers__sum_of_all.tolist() == of_buyers.total.tolist()
    assert result.own__sum_of_all.nunique() == 1


def test_no_entity_rows_give_no_rows_and_what_cannot_be_joined_says_why(shop: Shop) -> None:
    ask = shop.store.get_historical_features
    entities = some_entities()
    empty = ask(entity_df=entities[:0], features=FEATURES).to_arrow()
    assert (empty.num_rows, empty.schema.field("total").type) == (0, pa.int64())
    nobody = ask(entity_df=entities.assign(customer_id=None), features=FEATURES).to_df()
    assert nobody[["total", "visits"]].isna().all(axis=None)
    with pytest.raises(ValueError, match=r"no column region, by which regional is joined; it has target, customer_id"):
        ask(entity_df=entities.drop(columns="region"), features=FEATURES)
    with pytest.raises(ValueError, match=r"customer_id of entity_df is string and customer_id of iceberg.gold.metrics"):
        ask(entity_df=entities.assign(customer_id="1"), features=FEATURES)
    with pytest.raises(ValueError, match="total of metrics would be a second column"):
        ask(entity_df=entities.assign(total=1), features=FEATURES)
    with pytest.raises(ValueError, match=r"entity_df must be a DataFrame .* and is a str"):
        ask(entity_df="SELECT 1", features=FEATURES)


def test_an_entity_row_without_a_time_gets_nulls_and_keeps_its_place(shop: Shop) -> None:
    entities = pd.DataFrame(
        {
            "customer_id": [2, 39, 1, 2],
            "region": ["north", "west", "south", "østre"],
            "event_timestamp": pd.to_datetime(["2025-01-15", None, "2025-01-15", None]),
        }
    )
    ask = shop.store.get_historical_features
    result = ask(entity_df=entities, features=FEATURES).to_df()
    assert result[["customer_id", "region"]].equals(entities[["customer_id", "region"]])
    assert result.total.notna().tolist() == [True, False, True, False]
    timeless = ask(entity_df=entities.assign(event_timestamp=pd.NaT), features=FEATURES).to_df()
    assert timeless[["total", "visits"]].isna().all(axis=None)


def test_files_of_an_older_schema_are_read_as_the_table_is_now(shop: Shop) -> None:
    rows = pd.DataFrame({"customer_id": [1, 2], "event_timestamp": pd.to_datetime("2025-01-01"), "old": [10, 20]})
    shop.table("evolving", rows.astype({"old": "int32"}))
    table = shop.catalog.load_table("gold.evolving")
    with table.update_schema() as update:
        update.rename_column("old", "new").update_column("old", LongType()).add_column("later", LongType())
    table.append(arrow(rows[1:].rename(columns={"old": "new"}).assign(new=2**40, later=5)))
    shop.view("evolving", "evolving", [Field(name="new", dtype=Int64), Field(name="later", dtype=Int64)])
    entities = pd.DataFrame({"customer_id": [2, 1], "event_timestamp": pd.to_datetime("2025-01-02")})
    result = shop.store.get_historical_features(entity_df=entities, features=["evolving:new", "evolving:later"])
    # Of two rows of one time the one that was committed last counts.
    assert result.to_arrow().select(["new", "later"]).to_pylist() == [
        {"new": 2**40, "later": 5},
        {"new": 10, "later": None},
    ]


def test_a_pin_gives_the_rows_of_its_snapshot_or_says_that_it_is_gone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pd.DataFrame({"customer_id": [1], "event_timestamp": pd.to_datetime("2025-01-01"), "value": [1]})
    shop.table("pinned", rows)
    shop.view("pinned", "pinned", [Field(name="value", dtype=Int64)])
    table = shop.catalog.load_table("gold.pinned")
    first = table.current_snapshot()
    table.overwrite(arrow(rows.assign(value=2)))
    entities = pd.DataFrame({"customer_id": [1], "event_timestamp": pd.to_datetime("2025-01-02")})

    def value(pins: dict | str | None) -> int:
        if pins is not None:
            monkeypatch.setenv("ASGARD_FEATURE_PINS", pins if isinstance(pins, str) else json.dumps(pins))
        job = shop.store.get_historical_features(entity_df=entities, features=["pinned:value"])
        return job.to_arrow().column("value")[0].as_py()

    at = datetime.fromtimestamp(first.timestamp_ms / 1000, timezone.utc)
    assert value(None) == 2
    assert value({"snapshots": {"iceberg.gold.pinned": str(first.snapshot_id)}}) == 1
    assert value({"as_of": at.isoformat()}) == 1
    assert value({"as_of": (at + DAY).replace(tzinfo=None).isoformat()}) == 2
    with pytest.raises(ValueError, match=r"iceberg.gold.pinned is pinned to 2024-\S+, of which it has no snapshot"):
        value({"as_of": "2024-01-01T00:00:00Z"})
    table.maintenance.expire_snapshots().by_id(first.snapshot_id).commit()
    with pytest.raises(ValueError, match=f"pinned to snapshot {first.snapshot_id}, which it does not have; it has 2"):
        value({"snapshots": {"iceberg.gold.pinned": str(first.snapshot_id)}})
    with pytest.raises(ValueError, match=r"ASGARD_FEATURE_PINS cannot be used \(snapshot: Extra inputs"):
        value({"snapshot": 1})


def test_materialization_pulls_the_latest_row_of_each_key_or_all_rows(shop: Shop) -> None:
    start, end = START + 5 * DAY, START + 10 * DAY
    provider = shop.store._get_provider()
    asked = (shop.store.config, shop.metrics.batch_source, ["customer_id"], ["total"], "event_timestamp", "created")
    rows = shop.rows["metrics"]
    rows = rows[(rows.event_timestamp >= start) & (rows.event_timestamp <= end)]
    columns = ["customer_id", "total", "event_timestamp", "created"]

    def same(pulled: pa.Table, wanted: pd.DataFrame) -> None:
        assert pulled.column_names == columns
        found = pulled.to_pandas().sort_values(columns, ignore_index=True)
        assert_frame_equal(found, wanted[columns].sort_values(columns, ignore_index=True), check_dtype=False)

    pull = provider.offline_store
    same(pull.pull_all_from_table_or_query(*asked, start.to_pydatetime(), end.to_pydatetime()).to_arrow(), rows)
    latest = rows.sort_values(["event_timestamp", "created"]).drop_duplicates("customer_id", keep="last")
    naive = (start.tz_localize(None).to_pydatetime(), end.tz_localize(None).to_pydatetime())
    same(pull.pull_latest_from_table_or_query(*asked, *naive).to_arrow(), latest)


class Gateway(HTTPServer):
    """Takes reports; answers with the statuses of `answers`, then 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int] = []
        self.taken: list[tuple[str, str | None, dict]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.taken.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_job_tells_what_it_read_and_warns_when_it_cannot(
    shop: Shop, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read() -> None:
        job = shop.store.get_historical_features(entity_df=some_entities(50), features=FEATURES[:3])
        assert job.to_df().equals(job.to_df())

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{gateway.server_port}")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token of the job")
    read()
    assert gateway.taken == []  # not in a job
    monkeypatch.setenv("ASGARD_JOB_ID", "4f1")
    gateway.answers = [503]
    read()
    _, (path, authorization, body) = gateway.taken
    assert (path, authorization) == ("/api/2.0/asgard/feature-reads", "Bearer token of the job")
    snapshots = [shop.catalog.load_table(f"gold.{name}").current_snapshot() for name in ("metrics", "regional")]
    assert body["reads"] == [
        {
            "feature_view": view,
            "features": features,
            "table": f"iceberg.gold.{view}",
            "snapshot_id": str(snapshot.snapshot_id),
            "entity_rows": 70,
            "retrieval": {"view": view, "join_keys": {key: key for key in keys}, "full_feature_names": False},
        }
        for view, features, keys, snapshot in zip(
            ("metrics", "regional"),
            (["total", "average"], ["visits"]),
            (["customer_id"], ["customer_id", "region"]),
            snapshots,
            strict=True,
        )
    ]
    assert body["run_id"] is None
    gateway.answers = [403]
    read()
    assert len(gateway.taken) == 3  # a refusal is final
    assert "what was read of metrics, regional could not be reported" in caplog.text


def test_more_reads_than_a_report_may_have_are_told_in_several(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{gateway.server_port}")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token of the job")
    monkeypatch.setenv("ASGARD_JOB_ID", "4f1")
    how = Retrieval("metrics", {"customer_id": "customer_id"}, full_feature_names=False)
    reads = [Read(f"view_{number}", ["total"], "iceberg.gold.metrics", "1", 1, how) for number in range(201)]
    report(reads, pa.table({"total": [1, 2]}))
    assert [body["training_rows"] is None for _, _, body in gateway.taken] == [False, True, True]
    told = [[read["feature_view"] for read in body["reads"]] for _, _, body in gateway.taken]
    assert [len(views) for views in told] == [100, 100, 1]
    assert [view for views in told for view in views] == [read.feature_view for read in reads]
    gateway.taken.clear()
    gateway.answers = [200, 403]
    report(reads, None)
    assert len(gateway.taken) == 2
    assert "what was read of view_100, view_101" in caplog.text
    assert "view_99" not in caplog.text


def test_a_job_tells_by_which_names_and_keys_its_training_set_has_a_view(
    shop: Shop, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{gateway.server_port}")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token of the job")
    monkeypatch.setenv("ASGARD_JOB_ID", "4f1")
    buyers = shop.metrics[["total"]].with_name("buyers").with_join_key_map({"customer_id": "buyer_id"})
    service = FeatureService(name="trade", features=[buyers, shop.regional[["visits"]]])
    shop.store.apply([service])
    entities = some_entities(50).assign(buyer_id=7)
    job = shop.store.get_historical_features(entity_df=entities, features=service, full_feature_names=True)
    assert {"buyers__total", "regional__visits"} < set(job.to_df().columns)
    ((_, _, body),) = gateway.taken
    told = {read["feature_view"]: read["retrieval"] for read in body["reads"]}
    full = {"full_feature_names": True}
    assert told == {
        "buyers": {"view": "metrics", "join_keys": {"customer_id": "buyer_id"}, **full},
        "regional": {"view": "regional", "join_keys": {"customer_id": "customer_id", "region": "region"}, **full},
    }


@pytest.fixture
def in_a_job(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{gateway.server_port}")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token of the job")
    monkeypatch.setenv("ASGARD_JOB_ID", "4f1")
    return gateway


def rows_sent(gateway: Gateway) -> pd.DataFrame | None:
    encoded = gateway.taken[-1][2]["training_rows"]
    return None if encoded is None else pd.read_parquet(io.BytesIO(base64.b64decode(encoded, validate=True)))


def test_a_job_sends_rows_of_its_training_set_as_it_got_them_unless_they_are_to_stay_with_it(
    shop: Shop, in_a_job: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = RequestSource(name="more", schema=[Field(name="bonus", dtype=Int64)])

    @on_demand_feature_view(
        sources=[shop.metrics[["total"]], request], schema=[Field(name="total_with_bonus", dtype=Float64)]
    )
    def with_bonus(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"total_with_bonus": (inputs["total"] + inputs["bonus"]).astype("float64")})

    shop.store.apply([with_bonus])
    entities = some_entities(50).assign(bonus=3, target=0.5).set_index("region", drop=False)
    features = [*FEATURES[:3], "with_bonus:total_with_bonus"]

    def read() -> pd.DataFrame:
        return shop.store.get_historical_features(
            entity_df=entities, features=features, full_feature_names=True
        ).to_df()

    got = read()
    sent = rows_sent(in_a_job)
    assert {"target", "metrics__total", "with_bonus__total_with_bonus"} < set(got.columns)
    assert sent is not None
    assert_frame_equal(sent, got)
    monkeypatch.setenv("ASGARD_TRAINING_SAMPLE", "off")
    read()
    assert rows_sent(in_a_job) is None
    assert in_a_job.taken[-1][2]["reads"] == in_a_job.taken[-2][2]["reads"]


def test_rows_that_parquet_has_no_type_for_are_not_sent_and_the_reads_are_told(
    in_a_job: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    how = Retrieval("metrics", {"customer_id": "customer_id"}, full_feature_names=False)
    rows = pa.table({"pause": pa.array([(1, 2, 3)] * 9, pa.month_day_nano_interval())})
    report([Read("metrics", ["pause"], "iceberg.gold.metrics", "1", 9, how)], rows)
    assert rows_sent(in_a_job) is None
    assert in_a_job.taken[0][2]["reads"][0]["feature_view"] == "metrics"
    assert "no rows of the training set could be sent" in caplog.text


def table_of(count: int, text_length: int) -> pa.Table:
    """Numbered rows with texts that no compression makes smaller than half."""
    random = np.random.default_rng(0)
    return pa.table({"number": range(count), "text": [random.bytes(text_length // 2).hex() for _ in range(count)]})


def numbers_in(rows: bytes | None) -> list[int]:
    return [] if rows is None else pd.read_parquet(io.BytesIO(rows))["number"].tolist()


@pytest.mark.parametrize(
    ("count", "text_length", "sent"),
    [
        (0, 2, 0),
        (3, 2, 3),
        (1_000, 2, 1_000),
        (123_456, 2, 1_000),
        (5_000, 2_000, 125),  # the first that fits as it is halved
        (20, 2 * 2**20, 0),
        (6, 150_000, 0),
        (3, 150_000, 3),
        (3, 300_000, 0),
    ],
)
def test_rows_are_spread_evenly_and_as_many_as_fit(count: int, text_length: int, sent: int) -> None:
    rows = training_rows(table_of(count, text_length))
    assert numbers_in(rows) == [place * count // sent for place in range(sent)]
    assert rows is None or len(rows) <= 256 * 1024
