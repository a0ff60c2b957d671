"""A plain S3 client with given keys, to see what they open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession


@cache
def _session() -> Any:
    return AioSession()  # reads the models of the services once


@asynccontextmanager
async def s3_client(
    endpoint: str,
    access_key: str,
    secret_key: str,
    session_token: str | None = None,
    *,
    retries: int = 0,
    timeout: float = 30,
) -> AsyncIterator[Any]:
    async with _session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=session_token,
        config=AioConfig(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            read_timeout=timeout,
            retries={"total_max_attempts": retries + 1},
        ),
    ) as client:
        yield client
