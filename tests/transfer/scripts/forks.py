"""Forked children of a process that has used blob storage, and of one that has not.

Arguments: what to do, and a folder. Prints what the child answers.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import neuro_sdk
from neuro_sdk import BucketHandle, Client
from tests.transfer.scripts.loops import put_and_fetch
from tests.transfer.scripts.short import main

_SECONDS = 10


def in_fork(work: Callable[[], str]) -> str:
    """What *work* answers in a forked child, which is killed when it takes too long."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            answer = work()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    try:
        return asyncio.run(answered(reader))
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(reader)


async def answered(reader: int) -> str:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(reader, ready.set)
    try:
        async with asyncio.timeout(_SECONDS):
            await ready.wait()
    except TimeoutError:
        return "hangs"
    finally:
        loop.remove_reader(reader)
    return os.read(reader, 10_000).decode()


def run(work: Coroutine[None, None, object]) -> str:
    asyncio.run(work)
    return "done"


async def open_anew(home: Path) -> str:
    async with neuro_sdk.local(home) as client:
        await put_and_fetch(client, "child")
    return "done"


def open_and_use(home: str) -> str:
    """Work for a worker process."""
    return asyncio.run(open_anew(Path(home)))


async def used(home: Path) -> tuple[Client, BucketHandle]:
    client = await neuro_sdk.local(home)
    await client.buckets.create("photos")
    await put_and_fetch(client, "parent")
    return client, await client.buckets.open("photos")


async def first(stream: neuro_sdk.AsyncStream[Any]) -> None:
    await anext(stream)


def _run(work: Callable[[], Any]) -> str:
    return run(work())


def inherited(folder: Path) -> list[str]:
    """The client of the parent, by each of its verbs."""
    client, bucket = asyncio.run(used(folder / "home"))
    buckets = client.buckets
    answers = []
    works: tuple[Callable[[], Any], ...] = (
        lambda: buckets.put_blob("photos", "k", b""),
        lambda: first(buckets.list()),
        lambda: first(buckets.list_blobs("blob:photos/")),
        lambda: first(buckets.fetch_blob("photos", "parent/1")),
        lambda: buckets.create(),
        lambda: buckets.get("photos"),
        lambda: buckets.rm("photos"),
        lambda: buckets.upload_dir(folder, "blob:photos/x"),
        lambda: buckets.download_dir("blob:photos/parent", folder / "x"),
        lambda: buckets.persistent_credentials_list().__anext__(),
        lambda: client.within(project="x").buckets.get("photos"),
        lambda: bucket.put_blob("k", b""),
        lambda: bucket.head_blob("parent/1"),
        lambda: bucket.blob_rm("parent", recursive=True),
        lambda: first(bucket.list_blobs("")),
        lambda: first(bucket.get_disk_usage()),
        lambda: bucket.request_tmp_credentials(),
        lambda: bucket.set_public_access(True),
        lambda: bucket.make_signed_url("parent/1"),
        lambda: client.close(),
        lambda: client.__aenter__(),
    )
    for work in works:
        answers.append(in_fork(partial(_run, work)))
    answers.append(asyncio.run(still_good(client)))
    return answers


async def still_good(client: Client) -> str:
    await put_and_fetch(client, "parent")
    await client.close()
    return "the parent goes on"


def forgotten(folder: Path) -> list[str]:
    """The child does not close the client of its parent, and need not."""
    client, bucket = asyncio.run(used(folder / "home"))

    def work() -> str:
        nonlocal client, bucket
        warnings.simplefilter("always")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del client, bucket
            gc.collect()
        return f"{[str(warning.message) for warning in caught if 'Client' in str(warning.message)]}"

    return [in_fork(work), asyncio.run(still_good(client))]


def anew(folder: Path) -> list[str]:
    """A client of the child's own, after the parent has used one."""
    asyncio.run(main(folder, "close"))
    return [
        in_fork(lambda: open_and_use(os.fspath(folder / "home"))),
        in_fork(lambda: run(get(folder))),
    ]


async def get(folder: Path) -> None:
    os.environ["NEURO_SDK_PLATFORM"] = f"local:{folder / 'home'}"
    await neuro_sdk.get()


def in_a_loop(folder: Path) -> list[str]:
    """Forked while the loop of the parent runs."""

    async def work() -> list[str]:
        client, _ = await used(folder / "home")
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                await client.buckets.put_blob("photos", "k", b"")
                answer = "done"
            except BaseException as error:
                answer = f"{type(error).__name__}: {error}"
            os.write(writer, answer.encode())
            os._exit(0)
        os.close(writer)
        try:
            return [await answered(reader), await still_good(client)]
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            os.close(reader)

    return asyncio.run(work())


def before_use(folder: Path) -> list[str]:
    """Forked after the import and before the first use."""
    home = folder / "home"
    child = in_fork(lambda: run(main(folder, "close")))
    return [child, open_and_use(os.fspath(home))]


def not_used(folder: Path) -> list[str]:
    """Forked after a client was opened, before any blob was touched."""
    home = folder / "home"

    async def make() -> Client:
        client = await neuro_sdk.local(home)
        await client.buckets.create("photos")
        return client

    client = asyncio.run(make())
    return [
        in_fork(lambda: run(client.buckets.get("photos"))),
        in_fork(lambda: open_and_use(os.fspath(home))),
        asyncio.run(still_good(client)),
    ]


def spawn(folder: Path) -> list[str]:
    return pool(folder, "spawn")


def fork(folder: Path) -> list[str]:
    return pool(folder, "fork")


def forkserver(folder: Path) -> list[str]:
    return pool(folder, "forkserver")


def pool(folder: Path, method: str) -> list[str]:
    """A worker process of a process that has used blob storage."""
    asyncio.run(main(folder, "close"))
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        work = executor.submit(open_and_use, os.fspath(folder / "home"))
        try:
            return [work.result(timeout=30)]
        except neuro_sdk.ForkedProcessError as error:
            return [f"{type(error).__name__}: {error}"]
        except TimeoutError:
            for process in executor._processes.values():
                process.kill()
            return ["hangs"]


if __name__ == "__main__":
    print("\n".join(globals()[sys.argv[1]](Path(sys.argv[2]))))
