"""The guard against blocking the event loop can fail, and only for code of the package."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockingError

from neuro_sdk import Client
from neuro_sdk._transfer import disk

from .conftest import MAY_WAIT, Lifted


@pytest.fixture
def planted() -> Callable[[], None]:
    """A function of the package that waits."""
    names: dict[str, Any] = {"time": time}
    exec(compile("def wait(): time.sleep(0)", disk.__file__, "exec"), names)
    wait: Callable[[], None] = names["wait"]
    return wait


async def test_a_planted_wait_is_caught(planted: Callable[[], None]) -> None:
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        planted()


async def test_a_wait_in_what_the_package_calls_is_caught(client: Client, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    await client.buckets.create("box")

    async def body() -> AsyncIterator[bytes]:
        yield (tmp_path / "file").read_bytes()

    with pytest.raises(BlockingError):
        await client.buckets.put_blob("box", "key", body())


async def test_other_code_and_other_threads_may_wait(
    planted: Callable[[], None], tmp_path: Path
) -> None:
    time.sleep(0)  # noqa: ASYNC251
    (tmp_path / "file").write_bytes(b"x")
    await asyncio.to_thread(planted)


async def test_a_test_may_lift_it(
    client: Client, tmp_path: Path, planted: Callable[[], None], lifted: Lifted
) -> None:
    await client.buckets.create("box")

    async def body() -> AsyncIterator[bytes]:
        with lifted():
            (tmp_path / "file").write_bytes(b"x")
        yield b"x"

    await client.buckets.put_blob("box", "key", body())
    with pytest.raises(BlockingError):
        planted()


def test_every_exception_has_a_reason() -> None:
    assert all(len(reason) > 10 for _, _, reason in MAY_WAIT)
