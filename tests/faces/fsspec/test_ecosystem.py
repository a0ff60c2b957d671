"""What others do with ``blob://``: each test runs where the package is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import BlobChanged
from neuro_sdk.fsspec import BlobFileSystem

ROWS = 1000


@pytest.fixture
def options(fs: BlobFileSystem, home: Path) -> dict[str, str]:
    """``storage_options``."""
    return {"path": str(home)}


@pytest.fixture
def frame() -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"n": range(ROWS), "part": [f"p{n % 4}" for n in range(ROWS)]})


@pytest.fixture
def parts(frame: Any, options: dict[str, str]) -> str:
    """A dataset of four Parquet files in ``blob://box/parts``."""
    pytest.importorskip("pyarrow")
    frame.to_parquet("blob://box/parts", partition_cols=["part"], storage_options=options)
    return "box/parts"


class TestPandas:
    @pytest.mark.parametrize("name", ["f.csv", "f.csv.gz", "f.parquet", "f.json", "a ?#%20.csv"])
    def test_there_and_back(self, frame: Any, options: dict[str, str], name: str) -> None:
        import pandas as pd

        kind = name.split(".")[1]
        write = getattr(frame, f"to_{kind}")
        read = getattr(pd, f"read_{kind}")
        more = {"index": False} if kind == "csv" else {}
        write(f"blob://box/{name}", storage_options=options, **more)
        assert read(f"blob://box/{name}", storage_options=options).equals(frame)

    def test_partitions(self, parts: str, options: dict[str, str], fs: BlobFileSystem) -> None:
        import pandas as pd

        assert fs.ls(parts, detail=False) == [f"{parts}/part=p{n}" for n in range(4)]
        one = pd.read_parquet(
            f"blob://{parts}", storage_options=options, filters=[("part", "==", "p1")]
        )
        assert len(one) == ROWS / 4


class TestPyarrow:
    def test_dataset(self, parts: str, fs: BlobFileSystem) -> None:
        dataset = pytest.importorskip("pyarrow.dataset")
        opened = dataset.dataset(parts, filesystem=fs, format="parquet", partitioning="hive")
        assert opened.count_rows() == ROWS
        assert opened.to_table(filter=dataset.field("part") == "p3").num_rows == ROWS / 4
        dataset.write_dataset(
            opened, "box/copy", filesystem=fs, format="parquet", partitioning=["part"]
        )
        again = dataset.dataset("box/copy", filesystem=fs, format="parquet", partitioning=["part"])
        assert again.to_table().sort_by("n").column("n").to_pylist() == [*range(ROWS)]

    def test_table(self, fs: BlobFileSystem) -> None:
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        table = pa.table({"n": [*range(ROWS)]})
        pq.write_table(table, "box/t.parquet", filesystem=fs)
        assert pq.read_table("box/t.parquet", filesystem=fs).equals(table)

    def test_a_writer_that_fails_publishes_nothing(self, fs: BlobFileSystem) -> None:
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        table = pa.table({"n": [*range(ROWS)]})
        with (
            pytest.raises(KeyError),
            pq.ParquetWriter("box/t.parquet", table.schema, filesystem=fs) as writer,
        ):
            writer.write_table(table)
            raise KeyError
        assert fs.ls("box") == []

    def test_a_file_that_is_replaced_while_it_is_read(self, fs: BlobFileSystem) -> None:
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        table = pa.table({"n": [*range(2_000_000)]})
        pq.write_table(table, "box/t", filesystem=fs, compression="none", use_dictionary=False)
        with fs.open("box/t", block_size=1 << 16) as file:
            opened = pq.ParquetFile(file)
            fs.pipe("box/t", b"x" * fs.size("box/t"))
            with pytest.raises(BlobChanged):
                opened.read()


class TestPolars:
    def test_there_and_back(self, fs: BlobFileSystem) -> None:
        pl = pytest.importorskip("polars")
        frame = pl.DataFrame({"n": range(ROWS)})
        with fs.open("box/f.parquet", "wb") as file:
            frame.write_parquet(file)
        with fs.open("box/f.parquet") as file:
            assert pl.read_parquet(file).equals(frame)

    def test_a_dataset_lazily(self, parts: str, fs: BlobFileSystem) -> None:
        pl, dataset = pytest.importorskip("polars"), pytest.importorskip("pyarrow.dataset")
        opened = dataset.dataset(parts, filesystem=fs, format="parquet", partitioning="hive")
        lazy = pl.scan_pyarrow_dataset(opened).filter(pl.col("part") == "p2")
        assert lazy.select(pl.len()).collect().item() == ROWS / 4


class TestDuckDB:
    def test_there_and_back(self, parts: str, fs: BlobFileSystem) -> None:
        duckdb = pytest.importorskip("duckdb")
        with duckdb.connect() as db:
            db.register_filesystem(fs)
            query = f"select count(*), sum(n) from read_parquet('blob://{parts}/*/*.parquet')"
            assert db.sql(query).fetchall() == [(ROWS, sum(range(ROWS)))]
            db.sql("copy (select 7 as seven) to 'blob://box/a b.csv'")
            assert db.sql("from 'blob://box/a b.csv'").fetchall() == [(7,)]
        assert fs.cat_file("box/a b.csv") == b"seven\n7\n"


class TestDask:
    # pandas 3.1 warns of what Dask 2026.8 does
    @pytest.mark.filterwarnings("ignore:The inplace keyword")
    @pytest.mark.parametrize("scheduler", ["threads", "processes"])
    def test_there_and_back(
        self, parts: str, options: dict[str, str], fs: BlobFileSystem, scheduler: str
    ) -> None:
        dask = pytest.importorskip("dask")
        dd = pytest.importorskip("dask.dataframe")
        with dask.config.set({"scheduler": scheduler, "multiprocessing.context": "spawn"}):
            frame = dd.read_parquet(f"blob://{parts}", storage_options=options)
            assert frame.n.sum().compute() == sum(range(ROWS))
            frame.to_csv("blob://box/csv/*.csv", storage_options=options, index=False)
        assert len(fs.glob("box/csv/*.csv")) == frame.npartitions
        again = dd.read_csv("blob://box/csv/*.csv", storage_options=options)
        assert len(again) == ROWS


class TestUPath:
    def test_as_a_path(self, fs: BlobFileSystem, options: dict[str, str]) -> None:
        upath = pytest.importorskip("upath")
        box = upath.UPath("blob://box", **options)
        assert type(box).__name__ == "BlobPath"
        path = box / "a" / "b ?#%20.txt"
        path.write_text("text")
        assert path.read_text() == fs.cat_file("box/a/b ?#%20.txt").decode() == "text"
        assert (path.name, str(path.parent)) == ("b ?#%20.txt", "blob://box/a")
        assert [str(one) for one in box.iterdir()] == ["blob://box/a"]
        assert path.stat().st_size == 4
        assert path.is_file()
        assert path.parent.is_dir()
        assert not (box / "none").exists()
        with pytest.raises(KeyError), path.open("w") as file:
            file.write("part")
            raise KeyError
        assert path.read_text() == "text"
        assert [str(one) for one in box.glob("**/*.txt")] == [str(path)]
        path.unlink()
        assert not path.parent.exists()


class TestCaches:
    def test_a_chain(self, fs: BlobFileSystem, home: Path, tmp_path: Path) -> None:
        import fsspec

        def read(kind: str, **how: object) -> bytes:
            cache = {kind: {"cache_storage": str(tmp_path / kind), **how}}
            with fsspec.open(
                f"{kind}::blob://box/a", "rb", blob={"path": str(home)}, **cache
            ) as file:
                return bytes(file.read())

        fs.pipe("box/a", b"first")
        assert read("simplecache") == read("filecache", check_files=True) == b"first"
        fs.pipe("box/a", b"second")
        assert read("filecache", check_files=True) == b"second"

    def test_a_mapper(self, fs: BlobFileSystem) -> None:
        store = fs.get_mapper("box/map")
        store["a/b"] = b"1"
        assert (dict(store), "a/b" in store, len(store)) == ({"a/b": b"1"}, True, 1)
        del store["a/b"]
        assert fs.ls("box") == []
