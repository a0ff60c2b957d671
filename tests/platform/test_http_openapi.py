"""The OpenAPI document says what there is, and no request that it allows breaks the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    response_schema_conformance,
    status_code_conformance,
)

from neuro_sdk._core.roles import EVERYWHERE, Role
from neuro_sdk._platform.http.app import API
from neuro_sdk._platform.seaweedfs import SeaweedFSServer

from ..servers.background import in_background
from .asking import ask
from .serving import Team, served_team

load_all_checks()
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, seaweedfs: SeaweedFSServer) -> Iterator[Team]:
    with in_background(served_team(tmp_path_factory.mktemp("team"), seaweedfs)) as opened:
        yield opened


def test_it_is_whole(team: Team) -> None:
    document = asyncio.run(ask(team, None, "GET", "openapi.json")).json
    calls = {
        (method.upper(), path.removeprefix(API))
        for path, item in document["paths"].items()
        for method in item
    }
    one = "/buckets/buckets/{id_or_name}"
    credentials = "/buckets/persistent_credentials"
    assert calls == {
        ("GET", "/config"),
        ("GET", "/openapi.json"),
        ("GET", "/ping"),
        ("GET", "/secured-ping"),
        ("GET", "/buckets/buckets"),
        ("POST", "/buckets/buckets"),
        ("POST", "/buckets/buckets/import/external"),
        ("GET", "/buckets/buckets/find/by_path"),
        ("GET", one),
        ("DELETE", one),
        ("PATCH", one),
        ("POST", f"{one}/make_tmp_credentials"),
        ("POST", f"{one}/sign_blob_url"),
        ("GET", credentials),
        ("POST", credentials),
        ("GET", f"{credentials}/{{id_or_name}}"),
        ("DELETE", f"{credentials}/{{id_or_name}}"),
    }
    names = [call["operationId"] for item in document["paths"].values() for call in item.values()]
    assert len(set(names)) == len(names)
    assert all(call["summary"] for item in document["paths"].values() for call in item.values())


def test_nothing_that_it_allows_breaks_the_server(team: Team) -> None:
    token = asyncio.run(_token(team))
    document = asyncio.run(ask(team, None, "GET", "openapi.json")).json
    schema = schemathesis.openapi.from_dict(document)
    tried = 0
    for found in schema.get_all_operations():
        assert not isinstance(found, Err), found
        operation = found.ok()

        @settings(
            max_examples=20,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def try_it(case: Any) -> None:
            nonlocal tried
            tried += 1
            response = case.call(
                base_url=str(team.api.origin()), headers={"Authorization": f"Bearer {token}"}
            )
            case.validate_response(response, checks=CHECKS)

        try_it()
    assert tried > 100


async def _token(team: Team) -> str:
    return await team.token("alice", (EVERYWHERE, Role.OWNER))
