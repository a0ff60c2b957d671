"""The embedded platform as the tests open it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from neuro_sdk._core.config import ClientConfig
from neuro_sdk._core.models import Bucket, BucketCredentials
from neuro_sdk._platform.service import EmbeddedPlatform
from neuro_sdk._providers.local import LocalProvider
from neuro_sdk.protocols import Provider

CONFIG = ClientConfig(
    platform="local:",
    username="alice",
    cluster_name="home",
    org_name="acme",
    project_name="vision",
)
SCOPE = CONFIG.scope


def open_local(bucket: Bucket, opened: BucketCredentials) -> Provider:
    return LocalProvider(
        bucket,
        opened.credentials["root"],
        read_only=opened.credentials.get("read_only") == "true",
    )


@asynccontextmanager
async def open_platform(
    home: Path, *, config: ClientConfig = CONFIG, database_url: str | None = None
) -> AsyncIterator[EmbeddedPlatform]:
    platform = await EmbeddedPlatform.open(
        home=home, config=config, open_provider=open_local, database_url=database_url
    )
    try:
        yield platform
    finally:
        await platform.close()


async def bucket_ids(platform: EmbeddedPlatform) -> set[str]:
    return {bucket.id async for bucket in platform.list_buckets(SCOPE)}
