from __future__ import annotations

import errno
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from asgard_feast.errors import BridgeError, answer_of
from asgard_feast.tables.names import load
from asgard_feast.tables.warehouse import refuse_lost_folder
from tests.iceberg_tables import new_catalog


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return new_catalog(tmp_path)


def test_a_tables_file_that_is_gone_is_an_outage_and_a_file_of_ours_is_our_fault(
    catalog: Catalog, tmp_path: Path
) -> None:
    catalog.create_table("gold.metrics", pa.schema({"id": pa.int64()}))
    (tmp_path / "warehouse").rename(tmp_path / "gone")
    with pytest.raises(FileNotFoundError) as lost:
        load(catalog, "gold", "metrics")
    answer = answer_of(lost.value)
    assert answer["code"] == "UNAVAILABLE"
    assert answer["message"].startswith("the feature store's warehouse cannot be used: ")
    assert str(tmp_path / "warehouse") in answer["message"]
    with pytest.raises(FileNotFoundError) as ours:
        (tmp_path / "upload.csv").read_text()
    assert answer_of(ours.value)["code"] == "INTERNAL"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ENOTDIR, errno.EROFS, errno.ESTALE])
def test_a_disk_that_fails_under_a_table_is_an_outage(
    code: int, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyiceberg.io.pyarrow import PyArrowLocalFileSystem

    catalog.create_table("gold.metrics", pa.schema({"id": pa.int64()}))

    def fail(*_: object) -> None:
        raise OSError(code, "the disk fails")

    monkeypatch.setattr(PyArrowLocalFileSystem, "open_input_file", fail, raising=False)
    monkeypatch.setattr(PyArrowLocalFileSystem, "open_input_stream", fail, raising=False)
    with pytest.raises(OSError) as failed:
        load(catalog, "gold", "metrics")
    assert answer_of(failed.value)["code"] == "UNAVAILABLE"


def test_no_table_is_made_in_a_warehouse_that_is_gone_unless_it_is_the_first(catalog: Catalog, tmp_path: Path) -> None:
    refuse_lost_folder(catalog)
    catalog.create_table("gold.metrics", pa.schema({"id": pa.int64()}))
    refuse_lost_folder(catalog)
    (tmp_path / "warehouse").rename(tmp_path / "gone")
    with pytest.raises(BridgeError, match=f"its folder {tmp_path}/warehouse is gone, and there are tables") as refused:
        refuse_lost_folder(catalog)
    assert refused.value.code == "UNAVAILABLE"
