"""Connections that are closed while a peer takes nothing in."""

from __future__ import annotations

import asyncio
import gc
import io
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp
import pytest

from neuro_sdk import TransferConfig
from neuro_sdk._core.sigv4 import Keys
from neuro_sdk._http import Connector
from neuro_sdk._providers.s3 import S3Access, S3Requests

BODY = bytes(16 << 20)


@contextmanager
def deaf() -> Iterator[str]:
    """The URL of a peer that lets one connect and never reads."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


async def cancelled(task: asyncio.Task[object]) -> None:
    await asyncio.sleep(0.1)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def bare(url: str) -> None:
    async with aiohttp.ClientSession(connector=Connector()) as session:
        await cancelled(asyncio.ensure_future(session.put(url, data=io.BytesIO(BODY))))


async def signed(url: str) -> None:
    keys = Keys(access_key="a", secret_key="s")
    access = S3Access(bucket="b", endpoint=url, region="r", virtual_host=False, keys=keys)
    requests = S3Requests(access, name="box", transfer=TransferConfig())
    await cancelled(asyncio.ensure_future(requests.send("PUT", "key", "", [BODY])))
    await requests.close()


@pytest.mark.parametrize("send", [bare, signed])
def test_nothing_stays_open_of_a_request_that_was_cancelled(
    send: Callable[[str], object], open_files: Callable[[], dict[str, str]]
) -> None:
    with deaf() as url:
        before = open_files().items()
        asyncio.run(send(url))  # type: ignore[arg-type]
        assert not open_files().items() - before
    gc.collect()  # what was left open would warn here, and warnings are errors


async def test_it_closes_at_once_where_nothing_is_left(unused_tcp_port: int) -> None:
    async with aiohttp.ClientSession(connector=Connector()) as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"http://127.0.0.1:{unused_tcp_port}")
    assert session.closed
