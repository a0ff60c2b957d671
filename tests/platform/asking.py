"""Bare requests to a platform that is served, without the client of this package."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from .serving import Team

__all__ = ["Reply", "ask", "asking"]


@dataclass(frozen=True)
class Reply:
    """Status, headers and body of an answer; ``json`` is None where it is not JSON."""

    status: int
    headers: dict[str, str]
    text: str
    json: Any


@asynccontextmanager
async def asking() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


async def ask(
    team: Team, token: str | None, method: str, path: str, body: Any = None, **options: Any
) -> Reply:
    """One request; *path* is below the API, such as ``buckets/buckets``."""
    headers = options.pop("headers", {})
    if token is not None:
        headers = {"Authorization": f"Bearer {token}", **headers}
    async with (
        asking() as session,
        session.request(
            method, f"{team.api}/{path}", json=body, headers=headers, **options
        ) as response,
    ):
        text = await response.text()
        is_json = response.content_type == "application/json"
        parsed = await response.json() if is_json else None
        return Reply(response.status, dict(response.headers), text, parsed)
