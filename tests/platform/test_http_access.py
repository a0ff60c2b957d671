"""Who may do what: every endpoint, by every role, in one's own project and in another's."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk._core.models import Bucket
from neuro_sdk._core.roles import EVERYWHERE, Role
from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from neuro_sdk.errors import AuthorizationError, InvalidName

from ..servers.s3 import s3_client
from .asking import Reply, ask
from .opening import SCOPE
from .serving import OPEN, Team, served_team

IMPORTED = {"provider": "seaweedfs", "provider_bucket_name": "theirs", "credentials": {}}


@pytest.fixture
async def team(tmp_path: Path, seaweedfs: SeaweedFSServer) -> AsyncIterator[Team]:
    async with served_team(tmp_path / "home", seaweedfs) as opened:
        yield opened


@dataclass(frozen=True)
class Call:
    """A call on the bucket ``theirs`` and the status that it has for each kind of caller."""

    name: str
    method: str
    path: str
    body: dict[str, Any] | None
    reader: int
    writer: int
    owner: int
    outsider: int = 403


ONE = "buckets/buckets/{id}"
BY_NAME = "buckets/buckets/theirs?org_name=acme&project_name=vision"
PLACE = {"org_name": "acme", "project_name": "vision"}
CALLS = [
    Call("describe by id", "GET", ONE, None, 200, 200, 200),
    Call("describe by name", "GET", BY_NAME, None, 200, 200, 200),
    Call(
        "describe by path",
        "GET",
        "buckets/buckets/find/by_path?path=acme/vision/theirs/some/key",
        None,
        200,
        200,
        200,
    ),
    Call("temporary credentials", "POST", f"{ONE}/make_tmp_credentials", None, 200, 200, 200),
    Call("sign", "POST", f"{ONE}/sign_blob_url", {"key": "a"}, 200, 200, 200),
    Call("create", "POST", "buckets/buckets", {"name": "more", **PLACE}, 403, 201, 201),
    Call(
        "import",
        "POST",
        "buckets/buckets/import/external",
        {
            **IMPORTED,
            **PLACE,
            "credentials": {
                "endpoint_url": "http://127.0.0.1:9",
                "access_key_id": "a",
                "secret_access_key": "b",
            },
        },
        403,
        201,
        201,
    ),
    Call("make public", "PATCH", ONE, {"public": True}, 403, 403, 200),
    Call("remove", "DELETE", ONE, None, 403, 403, 204),
    Call(
        "credentials that read",
        "POST",
        "buckets/persistent_credentials",
        {"bucket_ids": ["{id}"], "read_only": True},
        201,
        201,
        201,
    ),
    Call(
        "credentials that write",
        "POST",
        "buckets/persistent_credentials",
        {"bucket_ids": ["{id}"]},
        403,
        201,
        201,
    ),
]


async def made_by_owner(team: Team, name: str = "theirs") -> Bucket:
    plane = await team.plane(await team.token("owner", ("vision", Role.OWNER)))
    return await plane.create_bucket(name, SCOPE)


async def called(team: Team, token: str | None, call: Call, bucket: Bucket) -> Reply:
    body = None if call.body is None else dict(call.body)
    if body and "bucket_ids" in body:
        body["bucket_ids"] = [bucket.id]
    return await ask(team, token, call.method, call.path.replace("{id}", bucket.id), body)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
class TestMatrix:
    @pytest.mark.parametrize("role", [*Role])
    async def test_in_the_project(self, team: Team, call: Call, role: Role) -> None:
        bucket = await made_by_owner(team)
        token = await team.token("asker", ("vision", role))
        reply = await called(team, token, call, bucket)
        assert reply.status == getattr(call, role.value), reply.text

    @pytest.mark.parametrize("role", [*Role])
    async def test_everywhere(self, team: Team, call: Call, role: Role) -> None:
        bucket = await made_by_owner(team)
        token = await team.token("asker", (EVERYWHERE, role))
        reply = await called(team, token, call, bucket)
        assert reply.status == getattr(call, role.value), reply.text

    @pytest.mark.parametrize("role", [*Role])
    async def test_in_another_project(self, team: Team, call: Call, role: Role) -> None:
        bucket = await made_by_owner(team)
        token = await team.token("asker", ("elsewhere", role))
        reply = await called(team, token, call, bucket)
        assert reply.status == call.outsider
        missing = reply.json["missing"]
        assert missing
        assert all(entry["uri"].startswith("blob://home/acme/vision") for entry in missing)
        plane = await team.plane(await team.token("owner"))
        assert await plane.get_bucket(bucket.id, SCOPE) == bucket

    async def test_without_a_token(self, team: Team, call: Call) -> None:
        bucket = await made_by_owner(team)
        for token in (None, "nonsense", "a.b.c", ""):
            reply = await called(team, token, call, bucket)
            assert reply.status == 401
            assert reply.text == "401: Unauthorized"


async def test_who_made_a_bucket_may_remove_it(team: Team) -> None:
    writer = await team.plane(await team.token("writer", ("vision", Role.WRITER)))
    bucket = await writer.create_bucket("mine", SCOPE)
    assert (await writer.set_public(bucket, True)).public
    await writer.delete_bucket(bucket)
    # The role counts, not that the bucket was made once.
    bucket = await writer.create_bucket("mine", SCOPE)
    await team.token("writer", ("vision", Role.READER))
    with pytest.raises(AuthorizationError, match="manage on blob://home/acme/vision/mine"):
        await writer.delete_bucket(bucket)


async def test_a_list_shows_what_may_be_read(team: Team) -> None:
    seen = await made_by_owner(team)
    other = dataclasses.replace(SCOPE, project_name="elsewhere")
    owner = await team.plane(await team.token("owner", ("elsewhere", Role.OWNER)))
    hidden = await owner.create_bucket("hidden", other)
    reader = await team.token("reader", ("vision", Role.READER))

    async def ids(query: str, token: str) -> list[str]:
        reply = await ask(team, token, "GET", f"buckets/buckets{query}")
        assert reply.status == 200
        return [bucket["id"] for bucket in reply.json]

    assert await ids("", reader) == [seen.id]
    assert await ids("?org_name=acme", reader) == [seen.id]
    assert await ids("?org_name=acme&project_name=vision&unknown=1", reader) == [seen.id]
    assert await ids("?owner=vision", reader) == [seen.id]
    assert await ids("?org_name=acme&project_name=elsewhere", reader) == []
    assert await ids("?org_name=acme&project_name=nowhere", reader) == []
    everywhere = await team.token("admin", (EVERYWHERE, Role.READER))
    assert await ids("", everywhere) == [seen.id, hidden.id]


async def test_who_has_no_role_does_not_learn_what_is_there(team: Team) -> None:
    await made_by_owner(team)
    outsider = await team.token("outsider", ("elsewhere", Role.OWNER))
    for name in ("theirs", "missing"):
        path = f"buckets/buckets/{name}?org_name=acme&project_name=vision"
        reply = await ask(team, outsider, "GET", path)
        assert reply.status == 403
        assert reply.json["missing"][0]["action"] == "read"
    assert (await ask(team, outsider, "GET", "buckets/buckets/bucket-unknown")).status == 403


async def test_a_readers_credentials_only_read(team: Team) -> None:
    bucket = await made_by_owner(team)
    owner = await team.plane(await team.token("owner"))
    provider = OPEN(bucket, await owner.bucket_credentials(bucket))
    await provider.put("a", b"data")
    await provider.close()
    reader = await team.plane(await team.token("reader", ("vision", Role.READER)))
    opened = await reader.bucket_credentials(bucket)
    assert opened.read_only
    provider = OPEN(bucket, opened)
    assert (await provider.head("a")).size == 4
    with pytest.raises(PermissionError):
        await provider.put("a", b"changed")
    with pytest.raises(PermissionError):
        await provider.delete("a")
    await provider.close()


async def test_a_reader_never_gets_the_keys_of_an_import(
    team: Team, seaweedfs: SeaweedFSServer
) -> None:
    access = (seaweedfs.endpoint, seaweedfs.access_key, seaweedfs.secret_key)
    async with s3_client(*access) as s3:
        await s3.create_bucket(Bucket="an-import")
        await s3.put_object(Bucket="an-import", Key="a", Body=b"data")
    owner = await team.plane(await team.token("owner", ("vision", Role.OWNER)))
    fields = ("endpoint_url", "access_key_id", "secret_access_key")
    bucket = await owner.import_bucket(
        "imported",
        SCOPE,
        provider=Bucket.Provider.SEAWEEDFS,
        provider_bucket_name="an-import",
        credentials=dict(zip(fields, access, strict=True)),
    )
    token = await team.token("reader", ("vision", Role.READER))
    reader = await team.plane(token)
    with pytest.raises(AuthorizationError, match="signed URLs"):
        await reader.bucket_credentials(bucket)
    url = await reader.sign_url(bucket, "a", 60)
    answers = [str(url)]
    for method, path in (
        ("GET", f"buckets/buckets/{bucket.id}"),
        ("GET", "buckets/buckets"),
        ("POST", f"buckets/buckets/{bucket.id}/make_tmp_credentials"),
    ):
        answers.append((await ask(team, token, method, path)).text)
    assert all(seaweedfs.secret_key not in answer for answer in answers)
    writer = await team.plane(await team.token("writer", ("vision", Role.WRITER)))
    opened = await writer.bucket_credentials(bucket)
    assert opened.credentials["secret_access_key"] == seaweedfs.secret_key


async def test_credentials_are_ones_own(team: Team) -> None:
    bucket = await made_by_owner(team)
    one = await team.plane(await team.token("one", ("vision", Role.WRITER)))
    made = await one.create_credentials("ci-job", [bucket.id], read_only=False, cluster_name="home")
    assert made.owner == "one"
    token = await team.token("two", (EVERYWHERE, Role.OWNER))
    for address in ("ci-job", made.id):
        for method in ("GET", "DELETE"):
            path = f"buckets/persistent_credentials/{address}"
            assert (await ask(team, token, method, path)).status == 404
    assert (await ask(team, token, "GET", "buckets/persistent_credentials")).json == []
    assert await one.get_credentials("ci-job", "home") == made


class TestTokens:
    async def test_only_hashes_are_kept(self, team: Team, tmp_path: Path) -> None:
        token = await team.token("alice", ("vision", Role.OWNER))
        secret = token.rpartition(".")[2]
        kept = b"".join(path.read_bytes() for path in tmp_path.rglob("registry.db*"))
        assert b"token-" in kept
        assert secret.encode() not in kept
        assert secret not in repr(await team.accounts.tokens())
        assert secret not in repr(token)

    async def test_revoked_is_at_once(self, team: Team) -> None:
        token = await team.token("alice", ("vision", Role.OWNER))
        assert (await ask(team, token, "GET", "secured-ping")).text == "Secured Pong"
        (info,) = await team.accounts.tokens()
        await team.accounts.revoke_token(info.id)
        assert (await ask(team, token, "GET", "secured-ping")).status == 401
        assert await team.accounts.tokens() == []

    async def test_a_token_ends(self, team: Team) -> None:
        token, _ = await team.accounts.create_token("alice", life=timedelta(microseconds=1))
        assert (await ask(team, token, "GET", "secured-ping")).status == 401
        token, _ = await team.accounts.create_token("alice", life=timedelta(days=1))
        assert (await ask(team, token, "GET", "secured-ping")).status == 200

    async def test_where_the_token_may_be(self, team: Team) -> None:
        token = await team.token("alice", ("vision", Role.OWNER))
        in_query = await ask(team, None, "GET", f"secured-ping?neuro-auth-token={token}")
        assert in_query.status == 200
        basic = {"Authorization": "Basic YTpi"}
        reply = await ask(team, None, "GET", "secured-ping", headers=basic)
        assert (reply.status, reply.json["error"]) == (400, "Unexpected authorization scheme")

    @pytest.mark.parametrize("user", ["", "a/b", "-a", "*", "a" * 64, "a b", "a\n", "é"])
    async def test_names_of_users_follow_a_rule(self, team: Team, user: str) -> None:
        with pytest.raises(InvalidName):
            await team.accounts.create_token(user)

    async def test_a_role_can_be_taken_away(self, team: Team) -> None:
        bucket = await made_by_owner(team)
        token = await team.token("alice", ("vision", Role.WRITER))
        path = f"buckets/buckets/{bucket.id}"
        assert (await ask(team, token, "GET", path)).status == 200
        await team.accounts.withdraw("alice", "acme", "vision")
        assert (await ask(team, token, "GET", path)).status == 403
