"""The registry: many processes, sudden death, damage, and no secrets told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from neuro_sdk._core.config import ClientConfig
from neuro_sdk._core.models import Bucket
from neuro_sdk._core.uri import Scope
from neuro_sdk._platform import sqlite
from neuro_sdk._platform.store import Store
from neuro_sdk.errors import (
    BucketNotFound,
    ConfigError,
    IllegalArgumentError,
    LocalDiskFull,
    LocalError,
    LocalIsADirectory,
    NameTaken,
    StorageTimeout,
)

from . import processes
from .opening import CONFIG, SCOPE, bucket_ids, open_platform


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def folders(home: Path) -> set[str]:
    """The buckets that have a folder on the disk."""
    return {path.name for path in (home / "blobs").iterdir() if path.is_dir()} - {".trash"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


async def make(home: Path, *names: str | None) -> list[Bucket]:
    async with open_platform(home) as platform:
        return [await platform.create_bucket(name, SCOPE) for name in names]


class TestProcesses:
    async def test_two_on_a_new_path_lose_nothing(self, home: Path) -> None:
        made: set[str] = set()
        started = [processes.start(processes.create_many, home, 50) for _ in range(2)]
        for _, connection in started:
            connection.send("go")
        for process, connection in started:
            made.update(await asyncio.to_thread(connection.recv))
            process.join()
        assert len(made) == 100
        async with open_platform(home) as platform:
            assert await bucket_ids(platform) == made
        assert made <= folders(home)

    async def test_one_of_eight_gets_the_name(self, home: Path) -> None:
        started = [processes.start(processes.create_named, home, "photos") for _ in range(8)]
        for _, connection in started:
            connection.send("go")
        answers = []
        for process, connection in started:
            answers.append(await asyncio.to_thread(connection.recv))
            process.join()
        assert answers.count("taken") == 7
        async with open_platform(home) as platform:
            assert await bucket_ids(platform) == set(answers) - {"taken"}
        assert folders(home) == set(answers) - {"taken"}

    async def test_sudden_death_loses_nothing_acknowledged(self, home: Path) -> None:
        chance = random.Random(7)
        expected: set[str] = set()
        doubtful: set[str] = set()
        removed: set[str] = set()
        for _ in range(20):
            process, connection = processes.start(processes.create_for_ever, home)
            await asyncio.to_thread(connection.poll, 20)
            await asyncio.sleep(chance.uniform(0, 0.15))
            process.kill()
            process.join()
            with contextlib.suppress(EOFError):
                while True:
                    what, bucket_id = connection.recv()
                    expected.add(bucket_id)
                    if what != "made":
                        doubtful.add(bucket_id)
                    if what == "removed":
                        removed.add(bucket_id)
                        expected.discard(bucket_id)
                        doubtful.discard(bucket_id)
            async with open_platform(home) as platform:
                there = await bucket_ids(platform)
                for bucket_id in doubtful & there:  # a removal that was cut short is finished
                    bucket = await platform.get_bucket(bucket_id, SCOPE)
                    await platform.delete_bucket(bucket)
            assert expected - doubtful <= there
            assert expected - doubtful <= folders(home)
            assert not removed & there
            expected = there - doubtful
            doubtful.clear()
        assert expected
        assert os.listdir(home / "blobs" / ".trash") == []

    async def test_a_writer_waits_for_another(self, home: Path) -> None:
        await make(home, "first")
        locked, over = threading.Event(), threading.Event()

        def hold() -> None:
            with contextlib.closing(sqlite3.connect(home / "registry.db")) as database:
                database.execute("BEGIN IMMEDIATE")
                locked.set()
                over.wait()
                database.rollback()

        holder = asyncio.create_task(asyncio.to_thread(hold))
        try:
            await asyncio.to_thread(locked.wait, 10)
            async with asyncio.timeout(20), open_platform(home) as platform:
                late = asyncio.create_task(platform.create_bucket("second", SCOPE))
                await asyncio.sleep(0.3)
                assert not late.done()
                over.set()
                assert (await late).name == "second"
        finally:
            over.set()
            await holder

    async def test_a_lock_for_ever_is_an_error(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.2)
        await make(home, "first")
        async with open_platform(home) as platform:
            with contextlib.closing(sqlite3.connect(home / "registry.db")) as database:
                database.execute("BEGIN IMMEDIATE")
                with pytest.raises(StorageTimeout, match=r"registry\.db"):
                    await platform.create_bucket("second", SCOPE)
                assert (await platform.get_bucket("first", SCOPE)).name == "first"
                database.rollback()
            await platform.create_bucket("second", SCOPE)

    def test_one_home_in_one_loop_after_another(self, home: Path) -> None:
        asyncio.run(make(home, "first"))
        asyncio.run(make(home, "second"))
        with pytest.raises(NameTaken):
            asyncio.run(make(home, "first"))

    async def test_two_in_one_process(self, home: Path) -> None:
        await asyncio.gather(*[make(home, *[None] * 10) for _ in range(3)])
        async with open_platform(home) as platform:
            assert len(await bucket_ids(platform)) == 30


class TestCancellation:
    async def test_a_cancelled_creation_is_whole_or_nothing(self, home: Path) -> None:
        chance = random.Random(3)
        async with open_platform(home) as platform:
            for _ in range(60):
                task = asyncio.create_task(platform.create_bucket(None, SCOPE))
                await asyncio.sleep(chance.uniform(0, 0.008))
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            ids = await bucket_ids(platform)
            assert ids == folders(home)
            for bucket_id in ids:
                await platform.delete_bucket(await platform.get_bucket(bucket_id, SCOPE))
            assert folders(home) == set()

    async def test_a_cancelled_opening_closes_all(self, home: Path) -> None:
        for delay in range(12):
            task = asyncio.create_task(make(home))
            await asyncio.sleep(delay / 500)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await make(home, "first")


class TestFiles:
    async def test_others_may_not_read(self, home: Path) -> None:
        old = os.umask(0)
        try:
            async with open_platform(home / "deep") as platform:
                bucket = await platform.create_bucket(None, SCOPE)
                files = [home / "deep" / f"registry.db{end}" for end in ("", "-wal", "-shm")]
                assert [mode(path) for path in files] == [0o600] * 3
                blobs = home / "deep" / "blobs"
                folders = [home / "deep", blobs, blobs / bucket.id, blobs / ".trash"]
                assert [mode(path) for path in folders] == [0o700] * 4
        finally:
            os.umask(old)

    async def test_an_open_registry_file_is_closed_to_others(self, home: Path) -> None:
        await make(home)
        (home / "registry.db").chmod(0o644)
        await make(home)
        assert mode(home / "registry.db") == 0o600

    async def test_a_folder_that_was_there_keeps_its_mode(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        await make(tmp_path)
        assert mode(tmp_path) == 0o755

    @pytest.mark.parametrize("name", ["with space", "q?a#b%20", "ü-✓", "file:x"])
    async def test_any_path_will_do(self, tmp_path: Path, name: str) -> None:
        await make(tmp_path / name, "first")
        assert (tmp_path / name / "registry.db").is_file()
        assert os.listdir(tmp_path) == [name]

    async def test_acknowledged_is_on_disk(self, home: Path) -> None:
        async with open_platform(home) as platform, platform._store.transaction() as session:
            connection = await session.connection()
            for pragma, value in (("synchronous", 2), ("journal_mode", "wal"), ("foreign_keys", 1)):
                assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar() == value

    async def test_no_rights_to_home(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        process, connection = processes.start(processes.create_without_rights, tmp_path / "home")
        answer = await asyncio.to_thread(connection.recv)
        process.join()
        assert answer.startswith("LocalPermissionDenied")
        assert str(tmp_path) in answer

    async def test_a_file_where_home_should_be(self, home: Path) -> None:
        home.touch()
        with pytest.raises(LocalError, match="home"):
            await make(home)

    async def test_a_folder_where_the_registry_should_be(self, home: Path) -> None:
        (home / "registry.db").mkdir(parents=True)
        with pytest.raises(LocalIsADirectory, match=r"registry\.db"):
            await make(home)

    async def test_files_may_not_grow_any_more(self, home: Path) -> None:
        process, connection = processes.start(processes.create_on_a_full_disk, home)
        made, error = await asyncio.to_thread(connection.recv)
        process.join()
        assert error.startswith("NeuroError: ")
        assert "registry.db" in error
        async with open_platform(home) as platform:
            assert await bucket_ids(platform) == set(made)
        assert folders(home) == set(made)

    async def test_the_disk_is_full(self, home: Path) -> None:
        async with open_platform(home) as platform:
            async with platform._store.transaction() as session:
                connection = await session.connection()
                pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
                await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
            made = set()

            async def fill() -> None:
                while True:
                    made.add((await platform.create_bucket(None, SCOPE)).id)

            with pytest.raises(LocalDiskFull, match=r"registry\.db"):
                await fill()
            assert await bucket_ids(platform) == made


class TestDamage:
    @pytest.fixture
    async def registry(self, home: Path) -> Path:
        await make(home, *[f"bucket{number}" for number in range(30)])
        return home / "registry.db"

    async def refuses(self, home: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            async with open_platform(home) as platform:
                await bucket_ids(platform)
        assert str(home / "registry.db") in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("garbage", [b"not a database, " * 100, b"\0" * 8192, b"x"])
    async def test_something_else(self, home: Path, garbage: bytes) -> None:
        home.mkdir()
        (home / "registry.db").write_bytes(garbage)
        assert "damaged" in await self.refuses(home)
        assert (home / "registry.db").read_bytes() == garbage

    async def test_pages_overwritten(self, home: Path, registry: Path) -> None:
        size = registry.stat().st_size
        with registry.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        assert "damaged" in await self.refuses(home)

    async def test_cut_short(self, home: Path, registry: Path) -> None:
        os.truncate(registry, 5000)
        assert "damaged" in await self.refuses(home)

    async def test_an_empty_file_is_a_new_registry(self, home: Path) -> None:
        home.mkdir()
        (home / "registry.db").touch()
        await make(home, "first")

    async def test_a_newer_version(self, home: Path, registry: Path) -> None:
        with contextlib.closing(sqlite3.connect(registry)) as database:
            database.execute("UPDATE registry_schema SET version = 99")
            database.commit()
        message = await self.refuses(home)
        assert "upgrade" in message
        assert "99" in message


class TestDatabaseURL:
    async def test_it_says_where_the_registry_is(self, home: Path, tmp_path: Path) -> None:
        url = f"sqlite+aiosqlite:///{tmp_path}/elsewhere.db"
        async with open_platform(home, database_url=url) as platform:
            await platform.create_bucket(None, SCOPE)
        assert (tmp_path / "elsewhere.db").is_file()
        assert not (home / "registry.db").exists()

    @pytest.mark.parametrize(
        "url",
        [
            "nonsense",
            "nosuch+driver://u:hunter2@h/d",
            "sqlite:///x.db",
            "sqlite+aiosqlite://",
            "sqlite+aiosqlite:///:memory:",
            "postgresql+asyncpg://u:hunter2@127.0.0.1:port/d",
        ],
    )
    async def test_a_wrong_one_is_refused(
        self, home: Path, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigError) as caught:
            async with open_platform(home, database_url=url):
                pass
        assert "hunter2" not in str(caught.value)
        assert os.listdir(tmp_path) == ["home"]


class TestRecords:
    async def test_times_come_back_with_their_zone(self, home: Path) -> None:
        made = (await make(home, "first"))[0]
        async with open_platform(home) as platform:
            found = await platform.get_bucket("first", SCOPE)
        assert found == made
        assert found.created_at.tzinfo is not None

    async def test_names_are_unique_where_there_is_no_org(self, home: Path) -> None:
        config = ClientConfig(platform="local:", username="bob", cluster_name="home")
        async with open_platform(home, config=config) as platform:
            made = await platform.create_bucket("first", config.scope)
            assert (made.org_name, made.project_name) == (None, "bob")
            with pytest.raises(NameTaken):
                await platform.create_bucket("first", config.scope)
            assert await platform.get_bucket("first", Scope(cluster_name="home")) == made

    async def test_credentials_belong_to_a_user(self, home: Path) -> None:
        bucket = (await make(home, None))[0]
        bob = ClientConfig(platform="local:", username="bob", cluster_name="home")
        for config in (CONFIG, bob):
            async with open_platform(home, config=config) as platform:
                made = await platform.create_credentials(
                    "ci-job", [bucket.id], read_only=False, cluster_name="home"
                )
                assert [one async for one in platform.list_credentials("home")] == [made]
        async with open_platform(home) as platform:
            for lost in (platform.get_credentials, platform.delete_credentials):
                with pytest.raises(BucketNotFound):
                    await lost(made.id, "home")

    async def test_what_is_no_name_finds_nothing(self, home: Path) -> None:
        bucket = (await make(home, None))[0]
        async with open_platform(home) as platform:
            await platform.create_credentials(
                None, [bucket.id], read_only=False, cluster_name="home"
            )
            with pytest.raises(TypeError):
                await platform.get_bucket(None, SCOPE)  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                await platform.delete_credentials(None, "home")  # type: ignore[arg-type]
            with pytest.raises(IllegalArgumentError):
                await platform.get_bucket("a\ud800", SCOPE)

    async def test_a_bucket_may_vanish_while_credentials_are_made(self, home: Path) -> None:
        buckets = await make(home, None, None)
        async with open_platform(home) as platform:
            made = await platform.create_credentials(
                "ci-job", [one.id for one in buckets], read_only=False, cluster_name="home"
            )
            await platform.delete_credentials("ci-job", "home")
            await platform.delete_bucket(buckets[1])
            with pytest.raises(BucketNotFound):
                await platform._store.add_credentials(made)
            assert [one async for one in platform.list_credentials("home")] == []

    async def test_secrets_are_not_told(self, home: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        async with open_platform(home) as platform:
            for _ in range(2):
                with contextlib.suppress(NameTaken):
                    await platform.import_bucket(
                        "mine",
                        SCOPE,
                        provider=Bucket.Provider.AWS,
                        provider_bucket_name="theirs",
                        credentials={"access_key_id": "AKIA", "secret_access_key": "hunter2"},
                    )
            bucket = await platform.get_bucket("mine", SCOPE)
            opened = await platform.bucket_credentials(bucket)
            assert opened.credentials["secret_access_key"] == "hunter2"
            place = await platform._store.bucket(bucket.id)
        assert "hunter2" not in caplog.text + repr(place) + repr(opened)
        assert len(caplog.records) > 10

    async def test_a_registry_needs_no_platform(self, home: Path) -> None:
        home.mkdir()
        store = await Store.open(sqlite.file_url(home / "registry.db"), "home")
        assert await store.buckets("acme", "vision") == []
        await store.close()
