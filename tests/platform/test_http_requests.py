"""What the server answers to right and wrong requests, as the protocol has them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

import neuro_sdk
from neuro_sdk import ConfigError
from neuro_sdk._core.models import Bucket
from neuro_sdk._core.roles import EVERYWHERE, Role
from neuro_sdk._platform.accounts import Accounts
from neuro_sdk._platform.http.app import ACCESS_LOG, Served
from neuro_sdk._platform.http.serving import Listening, serving
from neuro_sdk._platform.seaweedfs import SeaweedFSServer

from ..servers.certificates import make_certificate
from .asking import ask, asking
from .opening import CONFIG, SCOPE, open_platform
from .serving import OPEN, Team, served_team

PLACE = {"org_name": "acme", "project_name": "vision"}
BUCKETS, CREDENTIALS = "buckets/buckets", "buckets/persistent_credentials"


@pytest.fixture
async def team(tmp_path: Path, seaweedfs: SeaweedFSServer) -> AsyncIterator[Team]:
    async with served_team(tmp_path / "home", seaweedfs) as opened:
        yield opened


@pytest.fixture
async def token(team: Team) -> str:
    return await team.token("alice", ("vision", Role.OWNER))


class TestConfig:
    async def test_without_a_token(self, team: Team) -> None:
        reply = await ask(team, None, "GET", "config")
        assert reply.status == 200
        needed = ("auth_url", "token_url", "logout_url", "client_id", "audience")
        assert all(reply.json[name] for name in (*needed, "headless_callback_url"))
        assert not {"authorized", "clusters", "projects"} & set(reply.json)

    async def test_with_one(self, team: Team, token: str) -> None:
        await team.token("alice", ("sound", Role.READER))
        body = (await ask(team, token, "GET", "config")).json
        assert body["authorized"] is True
        (cluster,) = body["clusters"]
        assert (cluster["name"], cluster["orgs"]) == ("home", ["acme"])
        assert cluster["buckets_url"] == f"{team.api}/buckets"
        others = ("registry", "storage", "users", "monitoring", "secrets", "disks")
        assert all(cluster[f"{other}_url"] for other in others)
        assert (cluster["resource_pool_types"], cluster["resource_presets"]) == ([], [])
        place = {"cluster_name": "home", "org_name": "acme"}
        assert body["projects"] == [
            {"name": "sound", "role": "reader", **place},
            {"name": "vision", "role": "owner", **place},
        ]

    async def test_with_a_wrong_one(self, team: Team) -> None:
        assert (await ask(team, "wrong", "GET", "config")).status == 401

    async def test_who_has_a_role_everywhere_has_a_project_to_begin_with(self, team: Team) -> None:
        token = await team.token("root", (EVERYWHERE, Role.WRITER))
        (project,) = (await ask(team, token, "GET", "config")).json["projects"]
        assert (project["name"], project["org_name"], project["role"]) == ("root", "acme", "writer")

    async def test_ping(self, team: Team) -> None:
        async with asking() as session, session.get(team.api.with_path("/ping")) as response:
            assert (response.status, await response.text()) == (200, "Pong")
        reply = await ask(team, None, "GET", "ping")
        assert (reply.status, reply.text) == (200, "Pong")
        assert reply.headers["X-Service-Version"].startswith("neuro-sdk/")
        assert (await ask(team, None, "GET", "secured-ping")).status == 401


class TestBuckets:
    async def test_the_object(self, team: Team, token: str) -> None:
        reply = await ask(team, token, "POST", BUCKETS, {"name": "photos", **PLACE})
        assert reply.status == 201
        created = reply.json.pop("created_at")
        assert created.endswith("+00:00")
        bucket_id = reply.json.pop("id")
        assert reply.json == {
            "name": "photos",
            "owner": "alice",
            "provider": "seaweedfs",
            "imported": False,
            "public": False,
            **PLACE,
        }
        again = await ask(team, token, "POST", BUCKETS, {"name": "photos", **PLACE})
        assert (again.status, again.json["code"]) == (409, "unique")
        assert again.json["description"]
        for query in ("", "?org_name=acme&project_name=vision", "?owner=vision", "?x=1"):
            for address in (bucket_id, "photos") if "vision" in query else (bucket_id,):
                found = await ask(team, token, "GET", f"{BUCKETS}/{address}{query}")
                assert (found.status, found.json["id"]) == (200, bucket_id)

    async def test_defaults_are_those_of_older_clients(self, team: Team) -> None:
        token = await team.token("bob", ("bob", Role.OWNER))
        made = (await ask(team, token, "POST", BUCKETS, {"name": "photos"})).json
        assert (made["org_name"], made["project_name"]) == ("acme", "bob")
        made = (await ask(team, token, "POST", BUCKETS, {"org_name": None, "owner": "bob"})).json
        assert made["project_name"] == "bob"
        assert (await ask(team, token, "GET", f"{BUCKETS}/photos")).status == 200

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("acme/vision/photos", 200),
            ("acme/vision/photos/", 200),
            ("acme/vision/photos/some/key", 200),
            ("acme/vision/{id}/key", 200),
            ("vision/photos", 200),
            ("vision/{id}", 200),
            ("vision/photos/key", 200),
            ("/acme/vision/photos", 404),
            ("acme/vision/missing", 404),
            ("vision/missing", 404),
            ("photos", 404),
            ("", 404),
        ],
    )
    async def test_by_path(self, team: Team, token: str, path: str, status: int) -> None:
        made = (await ask(team, token, "POST", BUCKETS, {"name": "photos", **PLACE})).json
        params = {"path": path.replace("{id}", made["id"])}
        reply = await ask(team, token, "GET", f"{BUCKETS}/find/by_path", params=params)
        assert reply.status == status, reply.text
        if status == 200:
            assert reply.json == made

    async def test_lists_are_json_or_ndjson(self, team: Team, token: str) -> None:
        made = [
            (await ask(team, token, "POST", BUCKETS, {"name": name, **PLACE})).json
            for name in ("one", "two", "three")
        ]
        assert (await ask(team, token, "GET", BUCKETS)).json == made
        for accept in ("application/x-ndjson", "text/html, application/x-ndjson;q=0.9"):
            headers = {"Accept": accept}
            reply = await ask(team, token, "GET", BUCKETS, headers=headers)
            assert reply.headers["Content-Type"] == "application/x-ndjson"
            assert [json.loads(line) for line in reply.text.splitlines()] == made
        headers = {"Accept": "application/x-ndjson"}
        reply = await ask(team, token, "GET", f"{BUCKETS}?project_name=no", headers=headers)
        assert (reply.status, reply.text) == (200, "")

    async def test_public_null_changes_nothing(self, team: Team, token: str) -> None:
        made = (await ask(team, token, "POST", BUCKETS, {"name": "photos", **PLACE})).json
        for body in ({"public": None}, {}):
            reply = await ask(team, token, "PATCH", f"{BUCKETS}/{made['id']}", body)
            assert (reply.status, reply.json) == (200, made)

    async def test_removal_keeps_what_is_not_empty(self, team: Team, token: str) -> None:
        made = (await ask(team, token, "POST", BUCKETS, {"name": "photos", **PLACE})).json
        plane = await team.plane(token)
        bucket = await plane.get_bucket("photos", SCOPE)
        provider = OPEN(bucket, await plane.bucket_credentials(bucket))
        await provider.put("a", b"data")
        await provider.close()
        path = f"{BUCKETS}/{made['id']}"
        reply = await ask(team, token, "DELETE", path)
        assert (reply.status, reply.json["code"]) == (409, "not_empty")
        assert (await ask(team, token, "DELETE", f"{path}?force=maybe")).status == 400
        reply = await ask(team, token, "DELETE", f"{path}?force=true")
        assert (reply.status, reply.text) == (204, "")
        assert (await ask(team, token, "DELETE", path)).status == 404

    async def test_creation_can_be_off(self, tmp_path: Path, seaweedfs: SeaweedFSServer) -> None:
        async with served_team(tmp_path / "off", seaweedfs, creation=False) as team:
            token = await team.token("alice", ("vision", Role.OWNER))
            for path in (BUCKETS, CREDENTIALS):
                reply = await ask(team, token, "POST", path, {"nonsense": 1})
                assert (reply.status, reply.json["code"]) == (422, "disabled")
            plane = await team.plane(token)
            with pytest.raises(neuro_sdk.CreationDisabled):
                await plane.create_bucket("photos", SCOPE)

    async def test_one_of_64_gets_the_name(self, team: Team, token: str) -> None:
        body = {"name": "photos", **PLACE}
        replies = await asyncio.gather(
            *(ask(team, token, "POST", BUCKETS, body) for _ in range(64))
        )
        assert sorted(reply.status for reply in replies) == [201] + [409] * 63
        (listed,) = (await ask(team, token, "GET", BUCKETS)).json
        (won,) = (reply.json for reply in replies if reply.status == 201)
        assert listed == won


WRONG: list[tuple[str, str, Any]] = [
    ("POST", BUCKETS, {"name": "X", **PLACE}),
    ("POST", BUCKETS, {"name": 1}),
    ("POST", BUCKETS, {"name": "photos\0", **PLACE}),
    ("POST", BUCKETS, {"name": "photos", "unknown": 1}),
    ("POST", BUCKETS, {"owner": "vision", **PLACE}),
    ("POST", BUCKETS, {"project_name": "a/b"}),
    ("POST", BUCKETS, {"org_name": "../x"}),
    ("POST", BUCKETS, {"org_name": "\0"}),
    ("POST", BUCKETS, []),
    ("POST", BUCKETS, None),
    ("POST", f"{BUCKETS}/import/external", {}),
    ("POST", f"{BUCKETS}/import/external", {"provider": "bad"}),
    (
        "POST",
        f"{BUCKETS}/import/external",
        {
            "provider": "local",
            "provider_bucket_name": "x",
            "credentials": {"root": "/"},
            **PLACE,
        },
    ),
    (
        "POST",
        f"{BUCKETS}/import/external",
        {"provider": "seaweedfs", "provider_bucket_name": " ", "credentials": {}, **PLACE},
    ),
    (
        "POST",
        f"{BUCKETS}/import/external",
        {"provider": "aws", "provider_bucket_name": "x", "credentials": {"a": 1}, **PLACE},
    ),
    ("PATCH", f"{BUCKETS}/photos?owner=vision", {"public": "yes"}),
    ("PATCH", f"{BUCKETS}/photos?owner=vision", {"name": "other"}),
    ("POST", f"{BUCKETS}/photos/sign_blob_url?owner=vision", {}),
    ("POST", f"{BUCKETS}/photos/sign_blob_url?owner=vision", {"key": ""}),
    ("POST", f"{BUCKETS}/photos/sign_blob_url?owner=vision", {"key": "../a"}),
    ("POST", f"{BUCKETS}/photos/sign_blob_url?owner=vision", {"key": "a", "expires_in_sec": 0}),
    ("POST", f"{BUCKETS}/photos/sign_blob_url?owner=vision", {"key": "a", "expires_in_sec": 1.5}),
    (
        "POST",
        f"{BUCKETS}/photos/sign_blob_url?owner=vision",
        {"key": "a", "expires_in_sec": 604801},
    ),
    ("GET", f"{BUCKETS}/photos?owner=vision&project_name=vision", None),
    ("GET", f"{BUCKETS}/photos?project_name=a%2Fb", None),
    ("GET", f"{BUCKETS}?project_name=%00", None),
    ("POST", CREDENTIALS, {"bucket_ids": []}),
    ("POST", CREDENTIALS, {"bucket_ids": "photos"}),
    ("POST", CREDENTIALS, {"bucket_ids": [1]}),
    ("POST", CREDENTIALS, {"name": "X", "bucket_ids": ["{id}"]}),
]


class TestWrongRequests:
    @pytest.mark.parametrize(("method", "path", "body"), WRONG, ids=map(str, range(len(WRONG))))
    async def test_it_is_a_400(
        self, team: Team, token: str, method: str, path: str, body: Any
    ) -> None:
        made = (await ask(team, token, "POST", BUCKETS, {"name": "photos", **PLACE})).json
        body = json.loads(json.dumps(body).replace("{id}", made["id"]))
        reply = await ask(team, token, method, path, body)
        assert reply.status == 400, reply.text
        assert reply.json["error"]
        assert (await ask(team, token, "GET", BUCKETS)).json == [made]

    @pytest.mark.parametrize(
        "raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"name": "\\ud800"}', b"null", b'"a"']
    )
    async def test_what_is_no_json_object(self, team: Team, token: str, raw: bytes) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            asking() as session,
            session.post(f"{team.api}/{BUCKETS}", data=raw, headers=headers) as response,
        ):
            assert response.status == 400
            assert (await response.json())["error"]

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", f"{BUCKETS}/missing?owner=vision", 404),
            ("GET", f"{BUCKETS}/%00?owner=vision", 404),
            ("GET", f"{BUCKETS}/%F0%9F?owner=vision", 404),
            ("DELETE", f"{BUCKETS}/missing?owner=vision", 404),
            ("POST", f"{BUCKETS}/missing/make_tmp_credentials?owner=vision", 404),
            ("GET", f"{CREDENTIALS}/missing", 404),
            ("DELETE", f"{CREDENTIALS}/%00", 404),
            ("GET", f"{BUCKETS}/", 404),
            ("GET", "nowhere", 404),
            ("PUT", BUCKETS, 405),
            ("POST", f"{BUCKETS}/x/nothing", 404),
        ],
    )
    async def test_what_is_not_there(
        self, team: Team, token: str, method: str, path: str, status: int
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        url = URL(f"{team.api}/{path}", encoded=True)
        async with asking() as session, session.request(method, url, headers=headers) as response:
            assert response.status == status

    async def test_an_unknown_bucket_in_credentials(self, team: Team, token: str) -> None:
        body = {"bucket_ids": ["bucket-unknown"]}
        reply = await ask(team, token, "POST", CREDENTIALS, body)
        assert reply.status == 404
        assert (await ask(team, token, "GET", CREDENTIALS)).json == []

    async def test_a_body_has_a_limit(self, team: Team, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        large = io.BytesIO(b'{"name": "' + b"x" * (2 << 20) + b'"}')
        async with (
            asking() as session,
            session.post(f"{team.api}/{BUCKETS}", data=large, headers=headers) as response,
        ):
            assert response.status == 413

    async def test_a_body_that_does_not_come(
        self, team: Team, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("neuro_sdk._platform.http.bodies._BODY_SECONDS", 0.1)
        reader, writer = await asyncio.open_connection(team.api.host, team.api.port)
        writer.write(
            f"POST {team.api.path}/{BUCKETS} HTTP/1.1\r\nHost: {team.api.host}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n{{".encode()
        )
        assert b" 408 " in await asyncio.wait_for(reader.readline(), 60)
        writer.close()
        await writer.wait_closed()

    async def test_secrets_do_not_come_back(
        self, team: Team, token: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        body = {
            "provider": "aws",
            "provider_bucket_name": "x",
            "credentials": {"access_key_id": "a", "secret_access_key": ["s3cr3t"]},
            **PLACE,
        }
        with caplog.at_level(logging.DEBUG):
            reply = await ask(team, token, "POST", f"{BUCKETS}/import/external", body)
        assert reply.status == 400
        assert "secret_access_key" in reply.text
        assert "s3cr3t" not in reply.text + caplog.text


class TestServing:
    async def test_the_access_log(
        self, team: Team, token: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, ACCESS_LOG):
            await ask(team, token, "GET", f"{BUCKETS}/photos?owner=vision")
            await ask(team, None, "GET", f"secured-ping?neuro-auth-token={token}")
            await ask(team, None, "GET", "nowhere")
        lines = [json.loads(record.message) for record in caplog.records]
        assert [line["status"] for line in lines] == [404, 200, 404]
        assert [line["user"] for line in lines] == ["alice", "alice", None]
        assert lines[0]["route"] == "/api/v1/buckets/buckets/{id_or_name}"
        assert len({line["request_id"] for line in lines}) == 3
        assert token not in caplog.text

    async def test_the_disk_is_refused(self, tmp_path: Path) -> None:
        async with open_platform(tmp_path / "home") as platform:
            served = Served(platform, Accounts(platform.store), CONFIG)
            with pytest.raises(ConfigError, match="seaweedfs"):
                async with serving(served, Listening(port=0)):
                    pass

    async def test_a_taken_port(self, team: Team) -> None:
        served = Served(team.platform, team.accounts, CONFIG)
        with pytest.raises(neuro_sdk.LocalError, match=str(team.api.port)):
            async with serving(served, Listening(port=team.api.port or 0)):
                pass

    async def test_a_request_under_way_comes_to_its_end(
        self, tmp_path: Path, seaweedfs: SeaweedFSServer
    ) -> None:
        class Slow(Accounts):
            asked, go = asyncio.Event(), asyncio.Event()

            async def caller(self, token: str) -> Any:
                self.asked.set()
                await self.go.wait()
                return await super().caller(token)

        async with served_team(tmp_path / "home", seaweedfs) as team:
            token = await team.token("alice", ("vision", Role.OWNER))
            slow = Slow(team.platform.store)
            server = serving(Served(team.platform, slow, CONFIG), Listening(port=0))
            api = await server.__aenter__()
            async with asking() as session:
                headers = {"Authorization": f"Bearer {token}"}
                request = asyncio.create_task(_text(session, f"{api}/secured-ping", headers))
                await slow.asked.wait()
                ending = asyncio.create_task(server.__aexit__(None, None, None))
                await asyncio.sleep(0.05)
                assert not ending.done()
                slow.go.set()
                assert await request == "Secured Pong"
                await ending

    async def test_tls(self, tmp_path: Path, team: Team, token: str) -> None:
        certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        make_certificate(certificate, key)
        served = Served(team.platform, team.accounts, CONFIG)
        listening = Listening(port=0, certificate=certificate, key=key)
        async with serving(served, listening) as api, asking() as session:
            assert api.scheme == "https"
            context = ssl.create_default_context(cafile=str(certificate))
            async with session.get(f"{api}/config", ssl=context) as response:
                assert (await response.json())["auth_url"].startswith("https://")
        for wrong in (Listening(port=0, key=key), Listening(port=0, certificate=key)):
            with pytest.raises(ConfigError, match="certificate"):
                async with serving(served, wrong):
                    pass

    async def test_a_store_that_is_away_is_a_503(
        self, tmp_path: Path, seaweedfs: SeaweedFSServer, team: Team, token: str
    ) -> None:
        made = (await ask(team, token, "POST", BUCKETS, {"name": "photos", **PLACE})).json

        async def away(*_args: Any, **_kwargs: Any) -> Any:
            raise neuro_sdk.StorageUnavailable("the store is away, at http://secret-place")

        admin = team.platform._admins[Bucket.Provider.SEAWEEDFS]
        admin.credentials = away  # type: ignore[method-assign]
        path = f"{BUCKETS}/{made['id']}/make_tmp_credentials"
        reply = await ask(team, token, "POST", path)
        assert reply.status == 503
        assert "secret-place" not in reply.text


async def _text(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> str:
    async with session.get(url, headers=headers) as response:
        return await response.text()
