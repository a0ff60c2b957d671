"""Which platform is opened, and that none is without being asked for; the life of a client."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import Bucket, BucketHandle, Client, ClientClosed, ConfigError, NeuroError


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with an empty home, where nothing is configured."""
    for name in list(os.environ):
        if name.upper().startswith(("NEURO_", "APOLO_", "XDG_")):
            monkeypatch.delenv(name)
    home = tmp_path / "user"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.chdir(home)
    return home


def profile_file(user: Path, text: str) -> Path:
    path = user / "config" / "neuro-sdk" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


async def refused(profile: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        await neuro_sdk.get(profile)
    return str(caught.value)


class TestNothing:
    async def test_it_is_an_error(self, user: Path) -> None:
        message = await refused()
        assert "NEURO_SDK_PLATFORM=local:" in message
        assert "neuro_sdk.local()" in message
        assert str(user / "config" / "neuro-sdk" / "config.toml") in message
        assert everything(user) == []

    async def test_also_with_async_with(self, user: Path) -> None:
        with pytest.raises(ConfigError):
            async with neuro_sdk.get():
                pass
        assert everything(user) == []

    async def test_asking_is_not_opening(self, user: Path) -> None:
        neuro_sdk.get()
        neuro_sdk.local()
        assert everything(user) == []

    @pytest.mark.parametrize("name", ["PLATFORM", "PROFILE", "CONFIG"])
    async def test_empty_is_nothing(
        self, user: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv(f"NEURO_SDK_{name}", "")
        assert "no platform is configured" in await refused()
        assert everything(user) == []

    @pytest.mark.parametrize("unknown", [RuntimeError("no home"), "~/.local/share/neuro-sdk"])
    async def test_a_user_without_a_home(
        self, user: Path, monkeypatch: pytest.MonkeyPatch, unknown: str | RuntimeError
    ) -> None:
        # What platformdirs says depends on its version.
        def find(*_: object, **__: object) -> Path:
            if isinstance(unknown, RuntimeError):
                raise unknown
            return Path(unknown)

        for name in ("user_data_path", "user_config_path"):
            monkeypatch.setattr(f"platformdirs.{name}", find)
        for opening in (neuro_sdk.get, neuro_sdk.local):
            with pytest.raises(ConfigError, match=r"HOME.*local:/srv.*neuro_sdk\.local\('"):
                await opening()
        assert everything(user) == []


class TestEnvironment:
    async def test_a_place(
        self, tmp_path: Path, user: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NEURO_SDK_PLATFORM", f"local:{tmp_path / 'there'}")
        async with neuro_sdk.get() as client:
            await client.buckets.create("photos")
            assert client.config.platform == f"local:{tmp_path / 'there'}"
            assert client.config.profile is None
        assert (tmp_path / "there" / "registry.db").is_file()
        assert everything(user) == []

    async def test_the_default_place(self, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NEURO_SDK_PLATFORM", "local:")
        async with neuro_sdk.get() as client:
            made = await client.buckets.create("photos")
        assert (user / "data" / "neuro-sdk" / "local" / "registry.db").is_file()
        async with neuro_sdk.local() as client:
            assert await client.buckets.get("photos") == made

    @pytest.mark.parametrize(
        "platform",
        ["local", "Local:", "ftp://example.com", "/srv/blobs", "s3://bucket", ":", "x:/srv"],
    )
    async def test_no_platform(
        self, user: Path, monkeypatch: pytest.MonkeyPatch, platform: str
    ) -> None:
        monkeypatch.setenv("NEURO_SDK_PLATFORM", platform)
        message = await refused()
        assert repr(platform) in message
        assert "local:/PATH" in message
        assert everything(user) == []

    @pytest.mark.parametrize("platform", ["local:blobs", "local:~/blobs", "local:./x", "local: "])
    async def test_a_relative_path(
        self, user: Path, monkeypatch: pytest.MonkeyPatch, platform: str
    ) -> None:
        monkeypatch.setenv("NEURO_SDK_PLATFORM", platform)
        message = await refused()
        assert repr(platform) in message
        assert "absolute" in message
        assert everything(user) == []

    async def test_a_path_with_odd_characters(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = tmp_path / "a b:c#d?e%20"
        monkeypatch.setenv("NEURO_SDK_PLATFORM", f"local:{place}")
        async with neuro_sdk.get():
            assert (place / "registry.db").is_file()


class TestProfiles:
    @pytest.fixture
    def places(self, tmp_path: Path, user: Path) -> Path:
        profile_file(
            user,
            f"""
            default_profile = "home"
            [profiles.home]
            platform = "local:{tmp_path}/home"
            [profiles.work]
            platform = "local:{tmp_path}/work"
            """,
        )
        return tmp_path

    async def opened(self, profile: str | None = None) -> tuple[str, str | None]:
        async with neuro_sdk.get(profile) as client:
            return client.config.platform, client.config.profile

    async def test_the_default(self, places: Path) -> None:
        assert await self.opened() == (f"local:{places}/home", "home")

    async def test_by_name(self, places: Path) -> None:
        assert await self.opened("work") == (f"local:{places}/work", "work")

    async def test_the_environment_names_one(
        self, places: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NEURO_SDK_PROFILE", "work")
        assert await self.opened() == (f"local:{places}/work", "work")
        assert await self.opened("home") == (f"local:{places}/home", "home")

    async def test_a_platform_of_the_environment_wins(
        self, places: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NEURO_SDK_PLATFORM", f"local:{places}/env")
        monkeypatch.setenv("NEURO_SDK_PROFILE", "work")
        assert await self.opened() == (f"local:{places}/env", None)
        assert await self.opened("home") == (f"local:{places}/home", "home")

    async def test_another_file(
        self, places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = tmp_path / "other.toml"
        other.write_text(f'[profiles.other]\nplatform = "local:{tmp_path}/other"\n')
        monkeypatch.setenv("NEURO_SDK_CONFIG", str(other))
        assert await self.opened("other") == (f"local:{tmp_path}/other", "other")
        assert str(other) in await refused("work")
        assert str(other) in await refused()

    @pytest.mark.parametrize("name", ["nope", ""])
    async def test_an_unknown_one(self, places: Path, name: str) -> None:
        message = await refused(name)
        assert f"no profile {name!r}" in message
        assert "home, work" in message

    async def test_without_a_default(self, user: Path) -> None:
        profile_file(user, '[profiles.home]\nplatform = "local:"\n')
        before = everything(user)
        assert "no platform is configured" in await refused()
        assert everything(user) == before

    @pytest.mark.parametrize(
        ("text", "field"),
        [
            ("[profiles.home]\n", "profiles.home.platform"),
            ("[profiles.home]\nplatform = 5\n", "profiles.home.platform"),
            ('[profiles.home]\nplatform = "local:"\ntokn = "hunter2"\n', "profiles.home.tokn"),
            ("default_profile = ['hunter2']\n", "default_profile"),
            ("default = 'hunter2'\n", "default"),
            ("profiles = 'hunter2'\n", "profiles"),
        ],
    )
    async def test_a_wrong_field(self, user: Path, text: str, field: str) -> None:
        path = profile_file(user, text)
        before = everything(user)
        with pytest.raises(ConfigError) as caught:
            await neuro_sdk.get("home")
        assert repr(field) in str(caught.value)
        assert str(path) in str(caught.value)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))
        assert everything(user) == before

    @pytest.mark.parametrize("text", ["[profiles", "a = 1\na = 2", "\0"])
    async def test_no_toml(self, user: Path, text: str) -> None:
        path = profile_file(user, text)
        message = await refused()
        assert str(path) in message
        assert "cannot be read" in message

    async def test_not_even_text(self, user: Path) -> None:
        path = profile_file(user, "")
        path.write_bytes(b"\xff\xfe\x00")
        assert str(path) in await refused()

    async def test_a_folder_in_its_place(self, user: Path) -> None:
        path = profile_file(user, "")
        path.unlink()
        path.mkdir()
        assert str(path) in await refused()

    async def test_a_wrong_platform(self, user: Path) -> None:
        profile_file(user, '[profiles.home]\nplatform = "local:blobs"\n')
        assert "absolute" in await refused("home")


class TestLife:
    @pytest.fixture
    async def closed(self, tmp_path: Path) -> tuple[Client, BucketHandle]:
        client = await neuro_sdk.local(tmp_path / "home")
        await client.buckets.create("photos")
        await client.buckets.put_blob("photos", "k", b"v")
        bucket = await client.buckets.open("photos")
        assert repr(client) == f"<Client of 'local:{tmp_path / 'home'}', open>"
        await client.close()
        assert repr(client) == f"<Client of 'local:{tmp_path / 'home'}', closed>"
        return client, bucket

    async def test_await(self, tmp_path: Path) -> None:
        client = await neuro_sdk.local(tmp_path)
        assert [bucket async for bucket in client.buckets.list()] == []
        await client.close()

    async def test_await_and_async_with(self, tmp_path: Path) -> None:
        async with await neuro_sdk.local(tmp_path) as client:
            assert [bucket async for bucket in client.buckets.list()] == []
        with pytest.raises(ClientClosed):
            await client.buckets.create()

    async def test_one_opening_twice(self, tmp_path: Path) -> None:
        opening = neuro_sdk.local(tmp_path)
        async with opening as first:
            pass
        async with opening as second:
            assert second is not first
            await second.buckets.create()

    async def test_in_wait_for(self, tmp_path: Path) -> None:
        client = await asyncio.wait_for(neuro_sdk.local(tmp_path), 10)
        await client.close()

    async def test_closed_twice(self, tmp_path: Path) -> None:
        client = await neuro_sdk.local(tmp_path)
        await asyncio.gather(client.close(), client.close())
        await client.close()

    async def test_each_verb_of_a_closed_one(
        self, tmp_path: Path, closed: tuple[Client, BucketHandle]
    ) -> None:
        client, bucket = closed
        buckets = client.buckets
        uri = "blob:photos/k"
        before = everything(tmp_path)
        verbs: dict[str, Callable[[], Awaitable[object]]] = {
            "list": lambda: anext(buckets.list()),
            "create": lambda: buckets.create("more"),
            "import": lambda: buckets.import_external(
                Bucket.Provider.LOCAL, "x", {"root": str(tmp_path)}
            ),
            "get": lambda: buckets.get("photos"),
            "open": lambda: opened(buckets.open("photos")),
            "rm": lambda: buckets.rm("photos"),
            "tmp": lambda: buckets.request_tmp_credentials("photos"),
            "public": lambda: buckets.set_public_access("photos", True),
            "usage": lambda: anext(buckets.get_disk_usage("photos")),
            "head": lambda: buckets.head_blob("photos", "k"),
            "put": lambda: buckets.put_blob("photos", "new", b"v"),
            "fetch": lambda: anext(buckets.fetch_blob("photos", "k")),
            "delete": lambda: buckets.delete_blob("photos", "k"),
            "list_blobs": lambda: anext(buckets.list_blobs("blob:photos/")),
            "glob": lambda: anext(buckets.glob_blobs("blob:photos/*")),
            "is_dir": lambda: buckets.blob_is_dir(uri),
            "blob_rm": lambda: buckets.blob_rm(uri),
            "sign": lambda: buckets.make_signed_url(uri),
            "upload_file": lambda: buckets.upload_file(__file__, uri),
            "download_file": lambda: buckets.download_file(uri, tmp_path / "f"),
            "upload_dir": lambda: buckets.upload_dir(tmp_path, "blob:photos/t"),
            "download_dir": lambda: buckets.download_dir("blob:photos/", tmp_path / "d"),
            "credentials": lambda: anext(buckets.persistent_credentials_list()),
            "new credentials": lambda: buckets.persistent_credentials_create(["x"]),
            "some credentials": lambda: buckets.persistent_credentials_get("x"),
            "no credentials": lambda: buckets.persistent_credentials_rm("x"),
            "enter": lambda: client.__aenter__(),
            "within": lambda: client.within(project="x").buckets.create(),
            "handle.tmp": lambda: bucket.request_tmp_credentials(),
            "handle.public": lambda: bucket.set_public_access(True),
            "handle.sign": lambda: bucket.make_signed_url("k"),
            "handle.head": lambda: bucket.head_blob("k"),
            "handle.put": lambda: bucket.put_blob("new", b"v"),
            "handle.fetch": lambda: anext(bucket.fetch_blob("k")),
            "handle.delete": lambda: bucket.delete_blob("k"),
            "handle.list": lambda: anext(bucket.list_blobs("")),
            "handle.glob": lambda: anext(bucket.glob_blobs("*")),
            "handle.usage": lambda: anext(bucket.get_disk_usage()),
            "handle.is_dir": lambda: bucket.blob_is_dir("k"),
            "handle.rm": lambda: bucket.blob_rm("k"),
            "handle.upload_file": lambda: bucket.upload_file(__file__, "k"),
            "handle.download_file": lambda: bucket.download_file("k", tmp_path / "f"),
            "handle.upload_dir": lambda: bucket.upload_dir(tmp_path, "t"),
            "handle.download_dir": lambda: bucket.download_dir("", tmp_path / "d"),
        }
        ends = {name: await outcome(verb) for name, verb in verbs.items()}
        assert {name: end for name, end in ends.items() if end != "ClientClosed"} == {}
        assert everything(tmp_path) == before

    async def test_a_view_lives_with_its_client(self, tmp_path: Path) -> None:
        async with neuro_sdk.local(tmp_path) as client:
            async with client.within(project="other") as view:
                await view.buckets.create("photos")
            assert [one.project_name async for one in view.buckets.list()] == ["other"]
            assert [one async for one in client.buckets.list()] == []
        with pytest.raises(ClientClosed):
            await view.buckets.create()

    async def test_a_view_keeps_its_client(self, tmp_path: Path) -> None:
        view = (await neuro_sdk.local(tmp_path)).within(project="other")
        control = view._control
        gc.collect()
        await view.buckets.create("photos")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            del view
            gc.collect()
        assert "was never closed" in str(told[0].message)
        await control.close()

    async def test_a_forgotten_one(self, tmp_path: Path) -> None:
        client = await neuro_sdk.local(tmp_path / "home")
        control = client._control
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            del client
            gc.collect()
        assert told[0].category is ResourceWarning
        text = f"<Client of 'local:{tmp_path}/home', open> was never closed"
        assert str(told[0].message) == text
        await control.close()

    async def test_a_closed_one_ends_in_silence(self, tmp_path: Path) -> None:
        client = await neuro_sdk.local(tmp_path / "home")
        await client.close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del client
            gc.collect()

    async def test_an_opening_that_fails_leaves_nothing_open(self, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "registry.db").write_bytes(b"not a database, " * 100)
        fds = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        for _ in range(3):
            with pytest.raises(ConfigError, match="damaged"):
                await neuro_sdk.local(tmp_path / "home")
        gc.collect()
        if fds:
            assert len(os.listdir("/proc/self/fd")) <= fds


async def opened(opening: neuro_sdk.Opening[BucketHandle]) -> BucketHandle:
    return await opening


async def outcome(verb: Callable[[], Awaitable[object]]) -> str:
    try:
        return f"gives {await verb()!r}"
    except NeuroError as error:
        return type(error).__name__
    except Exception as error:
        return repr(error)


def test_importing_does_nothing(tmp_path: Path, user: Path) -> None:
    """No folder is made, no thread started and no setting read."""
    code = (
        "import threading, sys, neuro_sdk\n"
        "assert threading.active_count() == 1\n"
        "assert 'uvloop' not in sys.modules\n"
    )
    root = str(Path(neuro_sdk.__file__).parents[1])
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": root, "NEURO_SDK_PLATFORM": "nonsense"},
    )
    assert everything(user) == []
