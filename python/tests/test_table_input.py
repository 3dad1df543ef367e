"""What is made of CSV and Parquet files, and how they are refused."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asgard_feast.errors import BridgeError
from asgard_feast.tables.column_types import TIMESTAMP, TIMESTAMPTZ, parse_type, type_name
from asgard_feast.tables.csv_input import BLOCK_BYTES
from asgard_feast.tables.input_file import open_input
from asgard_feast.tables.parquet_input import BATCH_ROWS
from asgard_feast.tables.schema import replacing

CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
UTC = timezone.utc


def read(path: Path, media_type: str = CSV, **types: str) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """The types and values of each column, as a new table has them."""
    source = open_input(path, media_type)
    schema = replacing(source, types, None)
    table = pa.Table.from_batches(source.batches(schema), schema=schema)
    assert table.num_rows == source.rows
    return {field.name: type_name(field.type) for field in schema}, table.to_pydict()


@pytest.fixture
def csv(tmp_path: Path) -> Any:
    def read_text(text: str | bytes, **types: str) -> tuple[dict[str, str], dict[str, list[Any]]]:
        path = tmp_path / "rows.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read(path, **types)

    return read_text


def refusal(call: Any, *args: Any, **kwargs: Any) -> tuple[list[str | int], str]:
    """Where the first problem is, and all of what is said."""
    with pytest.raises(BridgeError) as caught:
        call(*args, **kwargs)
    assert caught.value.code == "INVALID_INPUT"
    return caught.value.issues[0]["path"], str(caught.value)


def test_types_are_found_in_the_whole_file(csv: Any) -> None:
    types, values = csv(
        "id,x,day,at,seen,ok,code,name\r\n"
        '1,2,2025-11-03,2025-11-03T10:00:00.123456000,2025-11-03 10:00:00+02:00,true,007,"a ""b"",\r\nc"\r\n'
        ',-1.5e3,,2025-11-03,2025-11-03T10:00Z,FALSE,1,""\r\n'
    )
    assert list(types.values()) == ["long", "double", "date", "timestamp", "timestamptz", "boolean", "string", "string"]
    assert values == {
        "id": [1, None],
        "x": [2.0, -1500.0],
        "day": [date(2025, 11, 3), None],
        "at": [datetime(2025, 11, 3, 10, 0, 0, 123456), datetime(2025, 11, 3)],
        "seen": [datetime(2025, 11, 3, 8, tzinfo=UTC), datetime(2025, 11, 3, 10, tzinfo=UTC)],
        "ok": [True, False],
        "code": ["007", "1"],
        "name": ['a "b",\r\nc', ""],
    }


def test_a_value_in_the_last_block_decides_too(csv: Any) -> None:
    rows = BLOCK_BYTES // 8
    types, values = csv("a,b\n" + "1234567,1\n" * rows + "x,2.5\n")
    assert types == {"a": "string", "b": "double"}
    assert (values["a"][-1], values["b"][-1], len(values["a"])) == ("x", 2.5, rows + 1)


def test_whole_numbers_keep_every_digit(csv: Any) -> None:
    types, values = csv(f"most,more,both\n{2**63 - 1},{2**63},{2**63}\n{-(2**63)},1,0.5\n")
    assert types == {"most": "long", "more": "string", "both": "double"}
    assert values["most"] == [2**63 - 1, -(2**63)]
    assert values["more"] == [str(2**63), "1"]


def test_given_types_win(csv: Any) -> None:
    types, values = csv(
        "a,b,c,d,e\n7,1,1.5,2025-11-03,5.0\n007,2,2,2025-11-03T01:00:00+01:00,+6\n",
        a="string", b="int", c="decimal(10, 2)", d="timestamptz", e="long",
    )  # fmt: skip
    assert types == {"a": "string", "b": "int", "c": "decimal(10, 2)", "d": "timestamptz", "e": "long"}
    assert values["a"] == ["7", "007"]
    assert values["c"] == [Decimal("1.50"), Decimal("2.00")]
    assert values["d"] == [datetime(2025, 11, 3, tzinfo=UTC)] * 2
    assert values["e"] == [5, 6]


def test_a_column_without_values_is_a_string_unless_its_type_is_given(csv: Any) -> None:
    assert csv("a,b\n,1\n,2\n")[0] == {"a": "string", "b": "long"}
    assert csv("a,b\n,1\n,2\n", a="double") == ({"a": "double", "b": "long"}, {"a": [None, None], "b": [1, 2]})


def test_headers_may_be_unicode_and_a_file_begin_with_its_byte_order(csv: Any) -> None:
    assert csv(b"\xef\xbb\xbf" + 'größe m,"日本"\n1,x'.encode())[1] == {"größe m": [1], "日本": ["x"]}


@pytest.mark.parametrize(
    ("text", "types", "path", "message"),
    [
        ("a,b\n1,x\n2,y,z\n", {}, [2], 'row 2 has 3 fields, the header has 2: "2,y,z"'),
        ("a,b\n1,x\n\n2\n", {}, [2], "row 2 has 1 fields"),
        (b"a,b\n1,x\n2,\xffy\n", {}, [2, "b"], 'row 2, column "b": "\\xffy" is not UTF-8'),
        ("a\n1\nNA\n", {"a": "long"}, [2, "a"], 'row 2, column "a": "NA" is no long: leave it empty for none'),
        ("a\n1\n3000000000\n", {"a": "int"}, [2, "a"], '"3000000000" is no int: it has more than 32 bits'),
        ("a\n2025-02-28\n2025-02-30\n", {}, [2, "a"], '"2025-02-30" is no date: write it as 2025-11-03'),
        ("a\n2025-11-03T10:00:00.1234567\n", {}, [1, "a"], "with at most 6 decimals"),
        ("a\n1.5\n1e400\n", {}, [2, "a"], '"1e400" is no double'),
        ("a\n1.234\n", {"a": "decimal(5, 2)"}, [1, "a"], '"1.234" is no decimal(5, 2)'),
        ('a,b\n1,"x\n2,y\n', {}, [], "odd number of quotes"),
        ("a,A\n1,2\n", {}, ["columns", 2], "is the name of column 1 too"),
        ("a, b\n1,2\n", {}, ["columns", 2], 'column 2, " b": must not begin or end with white space'),
        ("a,\n1,2\n", {}, ["columns", 2], "has no name"),
        (b"a,\xff\n1,2\n", {}, ["columns", 2], "is not UTF-8"),
        ("", {}, [], "the first line is empty"),
        ("a,b\n", {}, ["columns", "a"], 'column "a": has no rows to tell its type by: give it'),
        ("a,b", {}, ["columns", "a"], "has no rows"),
        ("a\n1\n".encode("utf-16"), {}, [], "UTF-16"),
        ("a\n1\n", {"a": "int64"}, ["types", "a"], '"int64" is no type; there is boolean, int, long'),
        ("a\n1\n", {"b": "long"}, ["types", "b"], 'the file has no column "b"; it has a'),
    ],
)  # fmt: skip
def test_a_bad_csv_is_refused_with_the_place(
    csv: Any, text: str, types: dict[str, str], path: Any, message: str
) -> None:
    where, said = refusal(csv, text, **types)
    assert where == path
    assert message in said


def test_a_bad_cell_is_found_in_a_later_block(csv: Any) -> None:
    rows = BLOCK_BYTES // 8 * 2
    where, said = refusal(csv, "a\n" + "1234567\n" * rows + "oops\n", a="long")
    assert where == [rows + 1, "a"]
    assert '"oops" is no long' in said


@pytest.fixture
def parquet(tmp_path: Path) -> Any:
    def read_table(table: pa.Table, **types: str) -> tuple[dict[str, str], dict[str, list[Any]]]:
        path = tmp_path / "rows.parquet"
        pq.write_table(table, path)
        return read(path, PARQUET, **types)

    return read_table


def test_parquet_columns_become_what_tables_have(parquet: Any) -> None:
    at = datetime(2025, 11, 3, 10)
    types, values = parquet(
        pa.table({
            "small": pa.array([1, None], pa.uint16()),
            "large": pa.array([2**40, 1], pa.uint64()),
            "text": pa.array(["x", "y"]).dictionary_encode(),
            "at": pa.array([at, None], pa.timestamp("ns")),
            "seen": pa.array([at, at], pa.timestamp("ms", "Europe/Berlin")),
            "list": pa.array([[1, 2], []], pa.list_(pa.int8())),
            "parts": pa.array([{"a": 1, "b": "x"}, None]),
            "none": pa.nulls(2),
            "money": pa.array([Decimal("1.50"), None]),
            "half": pa.array([0.5, 1], pa.float32()),
        })
    )  # fmt: skip
    assert [types[name] for name in ("small", "large", "text", "at", "seen", "none", "money", "half")] == [
        "int", "long", "string", "timestamp", "timestamptz", "string", "decimal(3, 2)", "float",
    ]  # fmt: skip
    assert values["list"] == [[1, 2], []]
    assert values["parts"] == [{"a": 1, "b": "x"}, None]
    assert values["at"] == [at, None]
    assert values["seen"] == [datetime(2025, 11, 3, 10, tzinfo=UTC)] * 2


def test_a_parquet_value_that_does_not_fit_is_found(parquet: Any) -> None:
    many = [1] * (BATCH_ROWS + 5)
    where, said = refusal(parquet, pa.table({"a": pa.array([*many, 2**63], pa.uint64())}))
    assert (where, said) == ([BATCH_ROWS + 6, "a"], f'row {BATCH_ROWS + 6}, column "a": {2**63} does not fit long')
    where, said = refusal(parquet, pa.table({"a": pa.array([1, 2**40])}), a="int")
    assert (where, said) == ([2, "a"], f'row 2, column "a": {2**40} does not fit int')
    fine = pa.array([1_000, 1_001], pa.timestamp("ns"))
    where, said = refusal(parquet, pa.table({"a": fine}))
    assert where == [2, "a"]
    assert "finer than microseconds" in said
    where, said = refusal(parquet, pa.table({"a": ["x"]}), a="long")
    assert (where, said) == (["columns", "a"], 'column "a": is string in the file and cannot become long')


def test_a_broken_parquet_is_refused(tmp_path: Path, parquet: Any) -> None:
    rows = pa.table({"a": range(100_000)})
    parquet(rows)
    whole = (tmp_path / "rows.parquet").read_bytes()
    garbled = whole[:4] + b"\xff" * (len(whole) // 2) + whole[4 + len(whole) // 2 :]
    for content in (b"", b"PAR1", whole[:-1], whole[: len(whole) // 2], garbled, b"a,b\n1,2\n"):
        (tmp_path / "rows.parquet").write_bytes(content)
        assert "cannot be read as Parquet" in refusal(read, tmp_path / "rows.parquet", PARQUET)[1]


def test_a_parquet_that_unfolds_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"a": pa.array(["x" * 10_000] * 20_000).dictionary_encode()}), path)
    assert path.stat().st_size < 10_000
    before = pa.default_memory_pool().max_memory()
    monkeypatch.setattr("asgard_feast.tables.parquet_input.MAX_BYTES", 150_000_000)
    assert "unfolds to" in refusal(read, path, PARQUET)[1]
    assert pa.default_memory_pool().max_memory() - before < 200_000_000
    monkeypatch.setattr("asgard_feast.tables.parquet_input.MAX_ROWS", 1_000)
    assert "at most 1000 rows" in refusal(read, path, PARQUET)[1]


def test_a_row_that_is_longer_than_a_block_is_refused(csv: Any) -> None:
    where, said = refusal(csv, 'a,b\n1,x\n2,"' + "y" * (BLOCK_BYTES * 2) + '"\n')
    assert where == [2]
    assert "longer than 4 MiB" in said


def test_names_of_types_are_iceberg_s() -> None:
    assert parse_type("decimal(38,38)") == pa.decimal128(38, 38)
    assert [parse_type(name) for name in ("decimal(39, 1)", "decimal(2, 3)", "varchar", "")] == [None] * 4
    assert [type_name(kind) for kind in (TIMESTAMP, TIMESTAMPTZ, pa.string())] == ["timestamp", "timestamptz", "string"]
