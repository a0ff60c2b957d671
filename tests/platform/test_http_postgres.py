"""Several servers on one PostgreSQL: one truth, also under races."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import make_url

from neuro_sdk import BucketNotFound, NameTaken
from neuro_sdk._core.roles import Role
from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from neuro_sdk._platform.store import Store

from .asking import ask
from .opening import SCOPE
from .serving import Team, served_team

PLACE = {"org_name": "acme", "project_name": "vision"}
BUCKETS, CREDENTIALS = "buckets/buckets", "buckets/persistent_credentials"


@pytest.fixture
async def database(postgres: str) -> str:
    """A database of its own, empty."""
    name = f"test_{uuid4().hex}"
    url = make_url(postgres)
    connection = await asyncpg.connect(
        user="neuro", database="postgres", host=str(url.query["host"])
    )
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return url.set(database=name).render_as_string()


@pytest.fixture
async def teams(
    tmp_path: Path, seaweedfs: SeaweedFSServer, database: str
) -> AsyncIterator[list[Team]]:
    """Two servers, each with a folder of its own."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                served_team(tmp_path / name, seaweedfs, database_url=database)
            )
            for name in ("first", "second")
        ]


async def test_many_open_an_empty_database_at_once(database: str) -> None:
    stores = await asyncio.gather(*(Store.open(database, "home") for _ in range(8)))
    for store in stores:
        assert await store.every_bucket() == []
        await store.close()


async def test_one_of_64_gets_the_name(teams: list[Team]) -> None:
    token = await teams[0].token("alice", ("vision", Role.OWNER))
    body = {"name": "photos", **PLACE}
    replies = await asyncio.gather(
        *(ask(teams[n % 2], token, "POST", BUCKETS, body) for n in range(64))
    )
    assert sorted(reply.status for reply in replies) == [201] + [409] * 63
    (won,) = (reply.json for reply in replies if reply.status == 201)
    for team in teams:
        assert (await ask(team, token, "GET", BUCKETS)).json == [won]


async def test_what_one_server_does_the_other_knows(teams: list[Team]) -> None:
    first, second = teams
    token = await first.token("alice", ("vision", Role.OWNER))
    here, there = await first.plane(token), await second.plane(token)
    made = await here.create_bucket("photos", SCOPE)
    assert await there.get_bucket("photos", SCOPE) == made
    role = await there.create_credentials("ci-job", [made.id], read_only=False, cluster_name="home")
    assert await here.get_credentials("ci-job", "home") == role
    with pytest.raises(NameTaken):
        await here.create_credentials("ci-job", [made.id], read_only=True, cluster_name="home")
    await there.set_public(made, True)
    assert (await here.get_bucket(made.id, SCOPE)).public
    await here.delete_bucket(made)
    with pytest.raises(BucketNotFound):
        await there.get_bucket("photos", SCOPE)
    assert [one async for one in there.list_credentials("home")] == []
    for info in await second.accounts.tokens():
        await second.accounts.revoke_token(info.id)
    assert (await ask(first, token, "GET", "secured-ping")).status == 401


async def test_credentials_and_removal_at_once(teams: list[Team]) -> None:
    """Either the bucket goes first, or the credentials go with it; nothing else is answered."""
    token = await teams[0].token("alice", ("vision", Role.OWNER))
    for _ in range(6):
        bucket = (await ask(teams[0], token, "POST", BUCKETS, PLACE)).json
        body = {"bucket_ids": [bucket["id"]]}
        made, removed = await asyncio.gather(
            ask(teams[0], token, "POST", CREDENTIALS, body),
            ask(teams[1], token, "DELETE", f"{BUCKETS}/{bucket['id']}"),
        )
        assert made.status in (201, 404), made.text
        assert removed.status == 204, removed.text
        assert (await ask(teams[0], token, "GET", CREDENTIALS)).json == []


async def test_credentials_of_two_buckets_that_go_at_once(teams: list[Team]) -> None:
    token = await teams[0].token("alice", ("vision", Role.OWNER))
    for _ in range(6):
        ids = [(await ask(teams[0], token, "POST", BUCKETS, PLACE)).json["id"] for _ in range(2)]
        await ask(teams[0], token, "POST", CREDENTIALS, {"bucket_ids": ids})
        removed = await asyncio.gather(
            *(
                ask(team, token, "DELETE", f"{BUCKETS}/{bucket_id}")
                for team, bucket_id in zip(teams, ids, strict=True)
            )
        )
        assert [reply.status for reply in removed] == [204, 204]
        assert (await ask(teams[0], token, "GET", CREDENTIALS)).json == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (BUCKETS, {"name": "a\0b", **PLACE}, 400),
        (CREDENTIALS, {"bucket_ids": ["\0"]}, 400),
        (CREDENTIALS, {"bucket_ids": ["bucket-missing"]}, 404),
        (
            f"{BUCKETS}/import/external",
            {
                "provider": "aws",
                "provider_bucket_name": "a\0b",
                "credentials": {"access_key_id": "a", "secret_access_key": "b"},
                **PLACE,
            },
            400,
        ),
    ],
)
async def test_what_the_database_cannot_hold(
    teams: list[Team], path: str, body: dict[str, object], status: int
) -> None:
    token = await teams[0].token("alice", ("vision", Role.OWNER))
    reply = await ask(teams[0], token, "POST", path, body)
    assert reply.status == status, reply.text


async def test_the_database_goes_away(teams: list[Team], database: str) -> None:
    token = await teams[0].token("alice", ("vision", Role.OWNER))
    assert (await ask(teams[0], token, "GET", BUCKETS)).json == []
    url = make_url(database)
    connection = await asyncpg.connect(
        user="neuro", database="postgres", host=str(url.query["host"])
    )
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", url.database
    )
    reply = await ask(teams[0], token, "GET", BUCKETS)  # a new connection is made
    assert (reply.status, reply.json) == (200, [])
    await connection.execute(f"ALTER DATABASE {url.database} WITH ALLOW_CONNECTIONS false")
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", url.database
    )
    await connection.close()
    reply = await ask(teams[0], token, "GET", BUCKETS)
    assert reply.status in (500, 503)
    assert "neuro@" not in reply.text
