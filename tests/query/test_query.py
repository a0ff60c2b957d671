"""SQL over blobs: what it gives, what it costs, and that it reaches nothing else."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import neuro_sdk
from neuro_sdk import (
    BlobChanged,
    BucketHandle,
    BucketNotFound,
    Client,
    ClientClosed,
    IllegalArgumentError,
    InvalidURI,
    QueryResult,
    TransferConfig,
)
from neuro_sdk._core.query import (
    from_engine,
    other_names,
    pieces_of,
    to_engine,
    with_engine_names,
    without_parameters,
)
from neuro_sdk._query.blobs import QueriedBlobs
from neuro_sdk._query.duck import Query

from ..servers.proxy import Faults, FaultyProxy

ROWS = 200_000


def parquet(first: int, count: int, group: int = 20_000) -> bytes:
    """Rows of a number, its remainder of 7, and 40 characters that do not compress."""
    table = pa.table(
        {
            "id": range(first, first + count),
            "rest": [number % 7 for number in range(first, first + count)],
            "text": [os.urandom(20).hex() for _ in range(count)],
        }
    )
    body = io.BytesIO()
    pq.write_table(table, body, row_group_size=group)
    return body.getvalue()


async def fill(bucket: BucketHandle) -> None:
    await bucket.put_blob("data/2025/a b.parquet", parquet(0, 50))
    await bucket.put_blob("data/2026/ü.parquet", parquet(50, 50))
    await bucket.put_blob("people.csv", b"name,age\nAda,36\nGrace,85\n")
    await bucket.put_blob("lines.jsonl", b'{"n": 1}\n{"n": 2}\n')


# What it gives


async def test_rows_and_arrow_at_each_store(anywhere: Client, box: BucketHandle) -> None:
    await fill(box)
    query = anywhere.buckets.query
    result = await query("SELECT count(*) AS rows, sum(id) FROM 'blob:box/data/**/*.parquet'")
    assert result == QueryResult(("rows", "sum(id)"), [(100, 4950)])
    assert list(result) == [(100, 4950)]
    assert len(result) == 1
    table = await query("SELECT * FROM 'blob:box/people.csv' WHERE age > 50", arrow=True)
    assert isinstance(table, pa.Table)
    assert table.to_pydict() == {"name": ["Grace"], "age": [85]}
    result = await query("SELECT sum(n) FROM 'blob:box/lines.jsonl'")
    assert result.rows == [(3,)]


@pytest.fixture
async def box_here(client: Client) -> Client:
    await client.buckets.create("box")
    await fill(await client.buckets.open("box"))
    return client


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("FROM 'blob:box/people.csv' SELECT age ORDER BY age", [(36,), (85,)]),
        ('SELECT max(age) FROM "blob:box/people.csv"', [(85,)]),
        ("SELECT count(*) FROM read_parquet('blob:box/data/*/*.parquet')", [(100,)]),
        (
            """SELECT count(*) FROM read_parquet(['blob:box/data/2025/a%20b.parquet',
            'blob:box/data/2026/%C3%BC.parquet'])""",
            [(100,)],
        ),
        ("SELECT count(*) FROM 'blob:box/data/2025/a b.parquet'", [(50,)]),
        ("SELECT count(*) FROM 'blob:box/data/2026/?.parquet'", [(50,)]),
        ("SELECT size FROM read_text('blob:box/people.csv')", [(25,)]),
        (
            """SELECT a.age FROM 'blob:box/people.csv' a, 'blob:box/people.csv' b
            WHERE a.age > b.age""",
            [(85,)],
        ),
        (
            """WITH p AS (SELECT * FROM 'blob:box/people.csv') SELECT count(*) FROM p
            JOIN 'blob:box/lines.jsonl' l ON l.n = 1 WHERE p.age IN
            (SELECT age FROM 'blob:box/people.csv')""",
            [(2,)],
        ),
        (
            "SELECT 'blob:box/people.csv', count(*) FROM 'blob:box/people.csv'",
            [("blob:box/people.csv", 2)],
        ),
        ("SELECT 'blob:box/x' -- FROM 'blob:nowhere/y'", [("blob:box/x",)]),
        ("SELECT column_name FROM (DESCRIBE FROM 'blob:box/people.csv')", [("name",), ("age",)]),
        ("PIVOT 'blob:box/people.csv' ON name USING sum(age)", [(36, 85)]),
        ("SELECT 1 WHERE false", []),
    ],
)
async def test_names_of_blobs_stand_where_tables_do(
    box_here: Client, sql: str, rows: list[tuple[Any, ...]]
) -> None:
    assert (await box_here.buckets.query(sql)).rows == rows


async def test_full_names_and_those_of_a_project(box_here: Client) -> None:
    bucket = await box_here.buckets.get("box")
    for uri in (str(bucket.uri), f"blob:/{bucket.project_name}/box"):
        result = await box_here.buckets.query(f"SELECT count(*) FROM '{uri}/people.csv'")
        assert result.rows == [(2,)]


async def test_parameters_take_their_places(box_here: Client) -> None:
    query = box_here.buckets.query
    sql = "SELECT name FROM 'blob:box/people.csv' WHERE age > {} ORDER BY age"
    assert (await query(sql.format("?"), [50])).rows == [("Grace",)]
    assert (await query(sql.format("$least"), {"least": 30})).rows == [("Ada",), ("Grace",)]
    table = await query(sql.format("$1"), [50], arrow=True)
    assert table.to_pydict() == {"name": ["Grace"]}
    two = "SELECT count(*) FROM 'blob:box/people.csv' a, 'blob:box/lines.jsonl' b WHERE b.n = ?"
    assert (await query(two, [1])).rows == [(2,)]


async def test_wrong_sql_is_the_error_of_the_engine(box_here: Client) -> None:
    query = box_here.buckets.query
    with pytest.raises(duckdb.ParserException, match="selec"):
        await query("selec 1")
    with pytest.raises(duckdb.BinderException, match="nothing"):
        await query("SELECT nothing FROM 'blob:box/people.csv'")
    with pytest.raises(duckdb.IOException, match="No files found"):
        await query("FROM 'blob:box/none.parquet'")
    with pytest.raises(BucketNotFound, match="nowhere"):
        await query("FROM 'blob:nowhere/none.parquet'")
    with pytest.raises(InvalidURI):
        await query("FROM read_csv('blob:')")


# What it costs


@pytest.fixture
async def counted(tmp_path: Path, watched_store: Path) -> AsyncIterator[Client]:
    limits = TransferConfig(retries=1, timeout=5)
    async with neuro_sdk.local(tmp_path / "home", store=watched_store, transfer=limits) as client:
        made = await client.buckets.create("box")
        yield client
        await client.buckets.rm(made.id, force=True)


async def test_only_the_ranges_that_are_needed_are_read(
    counted: Client, watched: FaultyProxy
) -> None:
    body = parquet(0, ROWS)
    await counted.buckets.put_blob("box", "big.parquet", body)
    watched.forget()
    result = await counted.buckets.query("SELECT count(*) FROM 'blob:box/big.parquet'")
    assert result.rows == [(ROWS,)]
    assert watched.counts() == {"HEAD": 1, "GET": 1}
    assert watched.sent < 20_000, "the footer"
    watched.forget()
    result = await counted.buckets.query("SELECT sum(rest) FROM 'blob:box/big.parquet'")
    assert result.rows == [(sum(number % 7 for number in range(ROWS)),)]
    assert watched.counts() == {"HEAD": 1, "GET": 11}
    assert watched.sent < len(body) / 100, "one column"
    watched.forget()
    result = await counted.buckets.query(
        "SELECT length(text) FROM 'blob:box/big.parquet' WHERE id = 77777"
    )
    assert result.rows == [(40,)]
    assert watched.sent < len(body) / 4, "one group of rows"


async def test_a_blob_that_is_replaced_is_told(counted: Client, watched: FaultyProxy) -> None:
    await counted.buckets.put_blob("box", "big.parquet", parquet(0, ROWS))

    async def where(uri: str) -> Any:
        handle, key = await counted.buckets.locate(uri)
        return await handle._opened(), key

    blobs = QueriedBlobs(where, asyncio.get_running_loop())
    file = await asyncio.to_thread(blobs.open, "blob://./box/big.parquet")
    assert await asyncio.to_thread(file.read, 4) == b"PAR1"
    await counted.buckets.put_blob("box", "big.parquet", parquet(1, 10))
    with pytest.raises(BlobChanged):
        await asyncio.to_thread(file.read, 4)
    assert isinstance(blobs.failure, BlobChanged)


async def test_what_the_store_said_is_the_error(counted: Client, watched: FaultyProxy) -> None:
    await counted.buckets.put_blob("box", "people.csv", b"a,b\n1,2\n")
    await counted.buckets.query("FROM 'blob:box/people.csv'")
    watched.faults = Faults(refuse=1.0)
    with pytest.raises(neuro_sdk.StorageError) as caught:
        await counted.buckets.query("FROM 'blob:box/people.csv'")
    assert caught.value.bucket == "box"
    watched.forget()


async def test_many_queries_do_not_wait_for_one_another(box_here: Client) -> None:
    sql = "SELECT count(*) FROM 'blob:box/data/**/*.parquet'"
    async with asyncio.timeout(60):
        results = await asyncio.gather(*(box_here.buckets.query(sql) for _ in range(40)))
    assert [result.rows for result in results] == [[(100,)]] * 40


async def test_a_cancelled_query_ends(client: Client) -> None:
    sql = "SELECT count(*) FROM range(100000000) a, range(100000) b WHERE a.range * b.range = -1"
    task = asyncio.create_task(client.buckets.query(sql))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 5
    task = asyncio.create_task(client.buckets.query(sql))
    await asyncio.sleep(0.3)
    await client.close()
    with pytest.raises(ClientClosed):
        await task


# That it reaches nothing else


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{out}/x.csv'",
        "COPY (SELECT 1) TO 'blob:box/x.csv'",
        "ATTACH '{out}/x.db'",
        "ATTACH 'blob://./box/people.csv' AS other",
        "EXPORT DATABASE '{out}/all'",
        "IMPORT DATABASE '{out}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET disabled_filesystems = ''",
        "RESET disabled_filesystems",
        "SET lock_configuration = false",
        "PRAGMA database_list",
        "CREATE TABLE t AS SELECT 1",
        "CALL pragma_version()",
        "SELECT 1; SELECT 2",
        "",
        "-- nothing",
    ],
)
async def test_what_does_not_read_is_refused(box_here: Client, sql: str, tmp_path: Path) -> None:
    with pytest.raises(IllegalArgumentError, match="a query"):
        await box_here.buckets.query(sql.format(out=tmp_path))


OUTSIDE = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_text('file:///etc/passwd')",
    "SELECT * FROM read_parquet('{out}/there.parquet')",
    "SELECT * FROM '{out}/there.parquet'",
    "SELECT * FROM '{out}/there.csv'",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_csv('/proc/self/environ')",
    "SELECT * FROM read_csv('/dev/stdin')",
    "SELECT * FROM read_text('blob://./box/../../../etc/passwd')",
    "SELECT * FROM read_csv('http://127.0.0.1:{port}/x.csv')",
    "SELECT * FROM read_csv('s3://bucket/x.csv')",
    "SELECT * FROM read_csv('hf://datasets/x/x.csv')",
    "SELECT getenv('HOME')",
    "SELECT * FROM secret_table",
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}/x.csv'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'blob://./box/x.csv'",
    "EXPLAIN ANALYZE SELECT * FROM read_text('/etc/passwd')",
]
LOCKED = [
    "COPY (SELECT 1) TO '{out}/x.csv'",
    "COPY (SELECT 1) TO 'blob://./box/x.csv'",
    "COPY (SELECT 1) TO 'blob://./box/x.parquet' (FORMAT parquet)",
    "COPY (SELECT 1) TO '/dev/stdout'",
    "ATTACH '{out}/x.db'",
    "ATTACH '{out}/there.db' (READ_ONLY)",
    "EXPORT DATABASE '{out}/all'",
    "IMPORT DATABASE '{out}'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{out}/there.csv'",
    "SET disabled_filesystems = ''",
    "RESET disabled_filesystems",
    "SET lock_configuration = false",
    "RESET lock_configuration",
    "SET enable_external_access = true",
    "SET autoload_known_extensions = true",
    "SET python_enable_replacements = true",
    "SET python_scan_all_frames = true",
    "SET temp_directory = '{out}'",
    "SET extension_directory = '{out}'",
    "SET log_query_path = '{out}/log'",
    "SET profiling_output = '{out}/log'",
    "PRAGMA enable_profiling",
    "CALL enable_logging(storage = 'file', storage_path = '{out}/log')",
    "CREATE SECRET s (TYPE s3)",
]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with files that no query may see."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "there.parquet").write_bytes(parquet(0, 5))
    (folder / "there.csv").write_text("a,b\n1,2\n")
    duckdb.connect(str(folder / "there.db")).close()
    return folder


@pytest.mark.parametrize("sql", OUTSIDE)
async def test_nothing_else_can_be_read(box_here: Client, sql: str, outside: Path) -> None:
    secret_table = pa.table({"a": [1]})
    before = sorted(os.listdir(outside))
    with pytest.raises((duckdb.Error, neuro_sdk.NeuroError, PermissionError)):
        await box_here.buckets.query(sql.format(out=outside, port=9))
    assert sorted(os.listdir(outside)) == before
    assert secret_table.num_rows == 1
    entries = box_here.buckets.list_blobs("blob:box", True)
    assert "x.csv" not in [entry.key async for entry in entries]


@pytest.mark.parametrize("sql", [*OUTSIDE, *LOCKED])
async def test_the_locks_hold_by_themselves(box_here: Client, sql: str, outside: Path) -> None:
    """Whatever statement gets as far as the engine."""
    before = sorted(os.listdir(outside))

    async def where(uri: str) -> Any:
        handle, key = await box_here.buckets.locate(uri)
        return await handle._opened(), key

    query = await asyncio.to_thread(Query, QueriedBlobs(where, asyncio.get_running_loop()))
    with pytest.raises((duckdb.Error, neuro_sdk.NeuroError, PermissionError)):
        await asyncio.to_thread(
            lambda: query._connection.execute(sql.format(out=outside, port=9)).fetchall()
        )
    await asyncio.to_thread(query.close)
    assert sorted(os.listdir(outside)) == before
    keys = [entry.key async for entry in box_here.buckets.list_blobs("blob:box", True)]
    assert not [key for key in keys if key.startswith("x.")]


# What is decided


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("blob:box/a", "blob://./box/a"),
        ("blob:/project/box/a", "blob:///project/box/a"),
        ("blob://cluster/project/box/a", "blob://cluster/project/box/a"),
    ],
)
def test_names_go_to_the_engine_and_back(uri: str, name: str) -> None:
    assert to_engine(uri) == name
    back = from_engine(name)
    assert back == uri or back == uri.replace("blob:/", "blob:///")


def _pieces(sql: str) -> Any:
    return pieces_of(sql, [(start, kind.name) for start, kind in duckdb.tokenize(sql)])


def test_only_arguments_of_functions_that_read_are_changed() -> None:
    sql = (
        " SELECT upper('blob:a'), 'ü blob:b' FROM READ_CSV(['blob:c', -- 'blob:d'\n 'blob://x/e'],"
        " delim = concat('blob:f')) WHERE x = 'blob:g'"
    )
    told = "".join(piece.text for piece in with_engine_names(_pieces(sql)))
    assert told == sql.replace("['blob:c'", "['blob://./c'").replace(
        "concat('blob:f')", "concat('blob://./f')"
    )
    assert "".join(piece.text for piece in _pieces(sql)) == sql


def test_tables_are_known_by_the_word_before_them() -> None:
    sql = "SELECT 'blob:a' FROM 'blob:b''b' JOIN /* x */ \"blob:c\" ON x = 'no', 'blob:d'"
    pieces = with_engine_names(_pieces(sql))
    assert "".join(piece.text for piece in pieces) == (
        "SELECT 'blob:a' FROM 'blob://./b''b' JOIN /* x */ \"blob://./c\" ON x = 'no', 'blob:d'"
    )
    assert other_names(pieces) == {"blob:a", "blob:d"}


def test_parameters_are_taken_out_for_the_look_at_the_names() -> None:
    told = without_parameters(_pieces("SELECT ?, ?2 + $1, $name FROM 'a?$b'"))
    assert told.split() == [
        "SELECT",
        "NULL",
        ",",
        "NULL",
        "+",
        "NULL",
        ",",
        "NULL",
        "FROM",
        "'a?$b'",
    ]


def test_without_the_extra_the_next_step_is_told() -> None:
    script = (
        "import sys; sys.modules['duckdb'] = None\n"
        "try:\n    import neuro_sdk._query.duck\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == (
        "queries need DuckDB, fsspec and pyarrow: pip install 'neuro-blob-sdk[query]'\n"
    ), done.stderr
