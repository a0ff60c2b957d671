"""Logging in and out, profiles, switching, what a job is passed, and how often is asked."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import neuro_sdk
from neuro_sdk import (
    AuthenticationError,
    BucketNotFound,
    Client,
    ConfigError,
    IllegalArgumentError,
    Profile,
    ServerNotAvailable,
)
from neuro_sdk._core.roles import EVERYWHERE, Role
from neuro_sdk._lookups import Lookups
from neuro_sdk._platform.http.app import ACCESS_LOG
from neuro_sdk._platform.seaweedfs import SeaweedFSServer

from ..platform.serving import Team, served_team


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the profile file of a user will be, where nothing is configured yet."""
    for name in list(os.environ):
        if name.upper().startswith(("NEURO_", "APOLO_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user" / "config"))
    return tmp_path / "user" / "config" / "neuro-sdk" / "config.toml"


@pytest.fixture
async def team(tmp_path: Path, seaweedfs: SeaweedFSServer) -> AsyncIterator[Team]:
    async with served_team(tmp_path / "home", seaweedfs) as opened:
        yield opened


@pytest.fixture
async def token(team: Team) -> str:
    return await team.token("alice", ("vision", Role.OWNER), ("sound", Role.READER))


def where(client: Client) -> tuple[str | None, ...]:
    config = client.config
    return (config.username, config.cluster_name, config.org_name, config.project_name)


class TestLogin:
    async def test_it_is_remembered(self, team: Team, token: str, file: Path) -> None:
        await neuro_sdk.login_with_token(token, team.api)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert [path.name for path in file.parent.iterdir()] == ["config.toml"]
        async with neuro_sdk.get() as client:
            assert where(client) == ("alice", "home", "acme", "sound")
            assert client.config.profile == "default"
            assert client.config.clusters == ["home"]
            assert token not in repr(client) + repr(client.config) + repr(client.buckets)

    async def test_a_slash_at_the_end_and_blanks_around(self, team: Team, token: str) -> None:
        await neuro_sdk.login_with_token(f"  {token}\n", f"{team.api}/")
        async with neuro_sdk.get() as client:
            assert client.config.platform == str(team.api)

    async def test_profiles_are_listed_and_chosen(self, team: Team, token: str, file: Path) -> None:
        assert await neuro_sdk.profiles() == []
        await neuro_sdk.login_with_token(token, team.api, project="vision", profile="one")
        file.write_text(file.read_text() + '[profiles.disk]\nplatform = "local:"\n')
        disk, one = await neuro_sdk.profiles()
        assert disk == Profile(name="disk", platform="local:")
        assert one == Profile(
            name="one",
            platform=str(team.api),
            cluster="home",
            org="acme",
            project="vision",
            default=True,
            logged_in=True,
        )
        assert token not in repr(one)
        await neuro_sdk.use_profile("disk")
        assert [each.name for each in await neuro_sdk.profiles() if each.default] == ["disk"]
        with pytest.raises(ConfigError, match=r"no profile 'three'.*it has: disk, one"):
            await neuro_sdk.use_profile("three")
        async with neuro_sdk.get("one") as client:
            assert client.username == "alice"

    async def test_several_profiles(self, team: Team, token: str) -> None:
        bob = await team.token("bob", ("vision", Role.READER))
        await neuro_sdk.login_with_token(token, team.api, project="vision", profile="one")
        await neuro_sdk.login_with_token(bob, team.api, profile="two")
        async with neuro_sdk.get() as client:
            assert where(client)[0] == "bob"
        async with neuro_sdk.get("one") as client:
            assert where(client) == ("alice", "home", "acme", "vision")
        await neuro_sdk.logout()
        with pytest.raises(ConfigError, match="no platform is configured"):
            await neuro_sdk.get()
        with pytest.raises(ConfigError, match=r"'two'.*one"):
            await neuro_sdk.get("two")
        async with neuro_sdk.get("one"):
            pass
        await neuro_sdk.logout("one")
        await neuro_sdk.logout("one")
        await neuro_sdk.logout()

    async def test_a_refused_token_leaves_nothing(self, team: Team, file: Path) -> None:
        with pytest.raises(AuthenticationError):
            await neuro_sdk.login_with_token("a.b.c", team.api)
        for wrong in ("", "  ", "a b", "a\nb", "é", "a\0"):
            with pytest.raises(IllegalArgumentError):
                await neuro_sdk.login_with_token(wrong, team.api)
        assert not file.parent.exists()

    @pytest.mark.parametrize(
        ("place", "match"),
        [
            ({"cluster": "far"}, "'far'.*'home'"),
            ({"org": "other"}, "'other'.*'acme'"),
            ({"project": "none"}, "'none'.*'sound', 'vision'"),
        ],
    )
    async def test_a_place_that_is_not_there(
        self, team: Team, token: str, file: Path, place: dict[str, str], match: str
    ) -> None:
        with pytest.raises(ConfigError, match=match):
            await neuro_sdk.login_with_token(token, team.api, **place)
        assert not file.exists()

    @pytest.mark.parametrize(
        "url",
        ["", "example.com", "ftp://x", "http://", "http://u:p@x/", "http://x?a=1", "http://["],
    )
    async def test_an_address_that_is_none(self, url: str, file: Path) -> None:
        with pytest.raises(ConfigError, match="address"):
            await neuro_sdk.login_with_token("a.b.c", url)
        assert not file.exists()

    async def test_what_else_is_in_the_file_stays(self, team: Team, token: str, file: Path) -> None:
        file.parent.mkdir(parents=True)
        file.write_text('[profiles.home]\nplatform = "local:"\n')
        file.chmod(0o644)
        await neuro_sdk.login_with_token(token, team.api)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        await neuro_sdk.logout()
        assert file.read_text() == '[profiles.home]\nplatform = "local:"\n'

    async def test_a_file_that_is_wrong_is_kept(self, team: Team, token: str, file: Path) -> None:
        file.parent.mkdir(parents=True)
        for text in ('[profiles.home]\ntoken = "s3cr3t"\n', 'token = "s3cr3t', "\xff"):
            file.write_text(text, encoding="latin-1")
            with pytest.raises(ConfigError) as caught:
                await neuro_sdk.login_with_token(token, team.api)
            assert "s3cr3t" not in f"{caught.value!r} {caught.value.__cause__!r}"
            assert file.read_text(encoding="latin-1") == text

    async def test_a_revoked_token(self, team: Team, token: str) -> None:
        await neuro_sdk.login_with_token(token, team.api)
        async with neuro_sdk.get() as client:
            for info in await team.accounts.tokens():
                await team.accounts.revoke_token(info.id)
            with pytest.raises(AuthenticationError, match="log in again"):
                await client.buckets.create("photos", project_name="vision")
        with pytest.raises(AuthenticationError):
            await neuro_sdk.get()

    async def test_logins_at_once_leave_a_whole_file(
        self, team: Team, token: str, file: Path
    ) -> None:
        await asyncio.gather(
            *(neuro_sdk.login_with_token(token, team.api, profile=f"p{n}") for n in range(6))
        )
        names = [profile.name for profile in await neuro_sdk.profiles()]
        assert set(names) <= {f"p{n}" for n in range(6)}
        async with neuro_sdk.get(names[-1]) as client:
            assert client.username == "alice"


class TestSwitch:
    async def test_projects(self, team: Team, token: str) -> None:
        await neuro_sdk.login_with_token(token, team.api)
        async with neuro_sdk.get() as client:
            view = client.within(project="sound")
            buckets = client.buckets
            await client.config.switch_project("vision")
            assert where(client)[3] == client.config.scope.project_name == "vision"
            assert (await buckets.create("photos")).project_name == "vision"
            assert where(view)[3] == "sound"
            with pytest.raises(ConfigError, match=r"'none'.*'sound', 'vision'"):
                await client.config.switch_project("none")
            with pytest.raises(IllegalArgumentError):
                await client.config.switch_project("")
            assert where(client)[3] == "vision"
            await view.config.switch_project("vision")
            assert [bucket.name async for bucket in view.buckets.list()] == ["photos"]
        async with neuro_sdk.get() as client:
            assert where(client)[3] == "vision"

    async def test_orgs_and_clusters(self, team: Team, token: str) -> None:
        await neuro_sdk.login_with_token(token, team.api, project="vision")
        async with neuro_sdk.get() as client:
            for wrong in (client.config.switch_cluster, client.config.switch_org):
                with pytest.raises(ConfigError, match="'far'"):
                    await wrong("far")
            await client.config.switch_org("acme")
            assert where(client) == ("alice", "home", "acme", "sound")
            await client.config.switch_cluster("home")

    async def test_on_this_machine(self, tmp_path: Path, file: Path) -> None:
        file.parent.mkdir(parents=True)
        file.write_text(f'[profiles.here]\nplatform = "local:{tmp_path}/here"\n')
        async with neuro_sdk.get("here") as client:
            await client.config.switch_project("vision")
            await client.config.switch_org("lab")
            await client.config.switch_cluster("local")
            with pytest.raises(ConfigError, match="'far'"):
                await client.config.switch_cluster("far")
            assert (await client.buckets.create("photos")).org_name == "lab"
        async with neuro_sdk.get("here") as client:
            assert where(client)[2:] == ("lab", "vision")
            assert (await client.buckets.get("photos")).project_name == "vision"


def passed(**fields: Any) -> str:
    return base64.b64encode(json.dumps(fields).encode()).decode()


class TestPassed:
    @pytest.mark.parametrize("variable", ["APOLO_PASSED_CONFIG", "NEURO_PASSED_CONFIG"])
    async def test_a_job_needs_no_login(
        self, team: Team, token: str, file: Path, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        old = {"token": token, "cluster": "home", "url": str(team.api)}
        monkeypatch.setenv(variable, passed(**old))
        async with neuro_sdk.get() as client:
            assert where(client) == ("alice", "home", "acme", "sound")
        new = {"org_name": "acme", "project_name": "vision"}
        monkeypatch.setenv(variable, passed(**old, **new))
        async with neuro_sdk.get() as client:
            assert where(client) == ("alice", "home", "acme", "vision")
            assert client.config.profile is None
        assert not file.exists()
        await neuro_sdk.login_with_passed_config()
        monkeypatch.delenv(variable)
        async with neuro_sdk.get() as client:
            assert where(client) == ("alice", "home", "acme", "vision")

    async def test_what_is_configured_counts_first(
        self, team: Team, token: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("NEURO_PASSED_CONFIG", "nonsense")
        monkeypatch.setenv("NEURO_SDK_PLATFORM", str(team.api))
        with pytest.raises(ConfigError, match="NEURO_SDK_TOKEN"):
            await neuro_sdk.get()
        monkeypatch.setenv("NEURO_SDK_TOKEN", token)
        monkeypatch.setenv("NEURO_SDK_PROJECT", "vision")
        async with neuro_sdk.get() as client:
            assert where(client) == ("alice", "home", "acme", "vision")
        monkeypatch.setenv("NEURO_SDK_PROJECT", "none")
        with pytest.raises(ConfigError, match="'none'"):
            await neuro_sdk.get()

    async def test_a_profiles_token_is_not_sent_elsewhere(
        self, team: Team, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await neuro_sdk.login_with_token(token, team.api)
        monkeypatch.setenv("NEURO_SDK_PLATFORM", str(team.api))
        with pytest.raises(ConfigError, match="wants a token"):
            await neuro_sdk.get()

    @pytest.mark.parametrize(
        "data",
        [
            "",
            "%%%",
            base64.b64encode(b"[]").decode(),
            base64.b64encode(b"{").decode(),
            passed(token="s3cr3t"),
            passed(token="s3cr3t", cluster=1, url="http://x"),
            passed(token=None, cluster="a", url="http://x"),
        ],
    )
    async def test_what_makes_no_sense(self, data: str, file: Path) -> None:
        with pytest.raises(ConfigError, match="passed configuration") as caught:
            await neuro_sdk.login_with_passed_config(data)
        assert "s3cr3t" not in str(caught.value)
        assert not file.exists()

    async def test_nothing_is_passed(self) -> None:
        with pytest.raises(ConfigError, match="NEURO_PASSED_CONFIG"):
            await neuro_sdk.login_with_passed_config()

    async def test_a_refused_token(self, team: Team, file: Path) -> None:
        data = passed(token="a.b.c", cluster="home", url=str(team.api))
        with pytest.raises(AuthenticationError):
            await neuro_sdk.login_with_passed_config(data)
        assert not file.exists()


class TestRequests:
    @pytest.fixture
    async def client(self, team: Team, token: str) -> AsyncIterator[Client]:
        await neuro_sdk.login_with_token(token, team.api, project="vision")
        async with neuro_sdk.get() as opened:
            yield opened

    @pytest.fixture
    def asked(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        """What the server was asked, as a list that grows."""
        caplog.set_level("INFO", ACCESS_LOG)
        lines: list[str] = []

        class Now(list[str]):
            def __len__(self) -> int:
                return len([one for one in caplog.records if one.name == ACCESS_LOG])

        return Now(lines)

    async def test_a_second_operation_asks_nothing(self, client: Client, asked: list[str]) -> None:
        buckets = client.buckets
        await buckets.create("photos")
        before = len(asked)
        await buckets.put_blob("photos", "a", b"data")
        assert len(asked) == before + 1  # the credentials; the bucket is known
        await buckets.put_blob("photos", "b", b"data")
        assert (await buckets.head_blob("photos", "a")).size == 4
        assert len([one async for one in buckets.list_blobs("blob:photos", True)]) == 2
        await buckets.blob_rm("blob:photos", recursive=True)
        assert len(asked) == before + 1

    async def test_many_at_once_ask_once(self, client: Client, asked: list[str]) -> None:
        made = await client.buckets.create("photos")
        before = len(asked)
        await asyncio.gather(
            *(client.buckets.put_blob(made.id, f"key-{n}", b"x") for n in range(32))
        )
        assert len(asked) == before + 2

    async def test_description_and_lists_are_fresh(self, client: Client, team: Team) -> None:
        made = await client.buckets.create("photos")
        await client.buckets.put_blob("photos", "a", b"data")
        await client.buckets.set_public_access("photos", True)
        assert (await client.buckets.get("photos")).public
        await team.platform.delete_bucket(made, force=True)
        with pytest.raises(BucketNotFound):
            await client.buckets.get("photos")
        assert [bucket async for bucket in client.buckets.list()] == []

    async def test_a_name_that_is_used_again_is_another_bucket(self, client: Client) -> None:
        buckets = client.buckets
        first = await buckets.create("photos")
        await buckets.put_blob("photos", "a", b"data")
        await buckets.rm("photos", force=True)
        with pytest.raises(BucketNotFound):
            await buckets.head_blob("photos", "a")
        second = await buckets.create("photos")
        assert first.id != second.id
        await buckets.put_blob("photos", "b", b"data")
        assert [one.key async for one in buckets.list_blobs("blob:photos")] == ["b"]

    async def test_missing_is_the_same_however_it_is_asked(self, client: Client) -> None:
        for call in (
            client.buckets.get("missing"),
            client.buckets.head_blob("missing", "a"),
            client.buckets.get("bucket-00000000-0000-4000-8000-000000000000"),
            client.buckets.locate("blob:missing/a"),
            client.buckets.locate("blob://home/acme/vision/missing/a"),
        ):
            with pytest.raises(BucketNotFound):
                await call

    async def test_the_platform_goes_away(self, team: Team, token: str, file: Path) -> None:
        await neuro_sdk.login_with_token(token, team.api, project="vision")
        limits = neuro_sdk.TransferConfig(retries=1)
        async with neuro_sdk.get(transfer=limits) as client:
            await client.buckets.create("photos")
            await client.buckets.put_blob("photos", "a", b"data")
            await team.stack.aclose()
            # The store is still there, and so is what the client knows.
            assert (await client.buckets.head_blob("photos", "a")).size == 4
            with pytest.raises(ServerNotAvailable):
                await client.buckets.get("photos")


class TestLookups:
    async def test_they_end(self) -> None:
        now, asked = 0.0, 0
        lookups = Lookups(60, clock=lambda: now)
        scope = neuro_sdk_scope()

        async def ask() -> Any:
            nonlocal asked
            asked += 1
            return type("Found", (), {"id": f"bucket-{asked}"})()

        assert (await lookups.find("a", scope, ask)).id == "bucket-1"
        now = 59.9
        assert (await lookups.find("a", scope, ask)).id == "bucket-1"
        now = 60.0
        assert (await lookups.find("a", scope, ask)).id == "bucket-2"
        lookups.forget("bucket-2")
        assert (await lookups.find("a", scope, ask)).id == "bucket-3"
        assert (await lookups.find("b", scope, ask)).id == "bucket-4"

    async def test_failures_are_not_remembered(self) -> None:
        lookups = Lookups(60)

        async def missing() -> Any:
            raise BucketNotFound("no")

        for _ in range(2):
            with pytest.raises(BucketNotFound):
                await lookups.find("a", neuro_sdk_scope(), missing)
        assert not lookups._asking
        many = [lookups.find("a", neuro_sdk_scope(), missing) for _ in range(8)]
        assert all(
            isinstance(result, BucketNotFound)
            for result in await asyncio.gather(*many, return_exceptions=True)
        )


def neuro_sdk_scope() -> Any:
    from neuro_sdk._core.uri import Scope

    return Scope(cluster_name="home")


async def test_everywhere_can_begin(team: Team) -> None:
    token = await team.token("root", (EVERYWHERE, Role.OWNER))
    await neuro_sdk.login_with_token(token, team.api)
    async with neuro_sdk.get() as client:
        assert where(client) == ("root", "home", "acme", "root")
        assert (await client.buckets.create("photos")).project_name == "root"
