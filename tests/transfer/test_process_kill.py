"""Sudden death, Ctrl-C and cancellation: what is under its name is whole."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import Client

from .scripts import trees, work
from .scripts.processes import NOISE, ask, start, start_script
from .scripts.verbs import URI, run


def some_step(verb: str, chance: random.Random) -> int:
    """A step that this transfer surely has; a file of 1 MiB may be downloaded in one."""
    return 1 if verb in ("download_file", "continue_file") else chance.randrange(1, 12)


async def make(home: Path, version: int) -> None:
    """The bucket, with the tree in this version."""
    async with neuro_sdk.local(home) as client:
        await client.buckets.create("photos")
        await put(client, version)


async def put(client: Client, version: int) -> None:
    for name, data in trees.tree(version).items():
        await client.buckets.put_blob("photos", f"tree/{name}", data)


async def fetched(client: Client) -> dict[str, bytes]:
    found = {}
    async for entry in client.buckets.list_blobs(f"{URI}/", recursive=True, limit=None):
        pieces = [piece async for piece in client.buckets.fetch_blob("photos", entry.key)]
        found[entry.key.removeprefix("tree/")] = b"".join(pieces)
    return found


def bucket_root(home: Path) -> Path:
    (root,) = [path for path in (home / "blobs").iterdir() if not path.name.startswith(".")]
    return root


def killed(
    verb: str,
    home: Path,
    folder: Path,
    delay: float,
    *,
    at_once: bool,
    sign: int = signal.SIGKILL,
) -> bool:
    """Kill a transfer *delay* seconds after its first step, or after its process has begun.

    False if it came to its end before.
    """
    process, connection = start(work.transfer, verb, home, folder)
    try:
        assert ask(connection) == "begun"
        if not at_once:
            assert ask(connection) == "first step"
        process.join(delay)
        if process.exitcode is None:
            assert process.pid is not None
            with contextlib.suppress(ProcessLookupError):  # it has just come to its end
                os.kill(process.pid, sign)
        process.join(30)
    finally:
        process.kill()
        process.join()
    return process.exitcode != 0


def seconds(verb: str, home: Path, folder: Path) -> float:
    """How long a transfer takes from its first step on."""
    process, connection = start(work.transfer, verb, home, folder)
    assert [ask(connection), ask(connection)] == ["begun", "first step"]
    began = time.monotonic()
    assert ask(connection) == "done"
    process.join()
    return time.monotonic() - began


async def make_huge(home: Path) -> bytes:
    """The bucket, with a blob that is read in several pieces."""
    body = random.Random(1).randbytes(18 << 20)
    async with neuro_sdk.local(home) as client:
        await client.buckets.create("photos")
        await client.buckets.put_blob("photos", "tree/big", body)
    return body


async def stand_still(verb: str, home: Path, folder: Path, step: int) -> None:
    """Kill a transfer at exactly this step."""
    process, connection = start(work.transfer_slowly, verb, home, folder, step)
    try:
        assert await asyncio.to_thread(ask, connection) == "standing still"
    finally:
        process.kill()
        process.join()


async def kill(
    verb: str, home: Path, folder: Path, chance: random.Random, span: float, *, at_a_step: bool
) -> float:
    """Kill a transfer somewhere: at a step, or after a part of *span* seconds.

    The time for the next one: less if this one came to its end before, for then the machine
    was slower when the time was taken.
    """
    if at_a_step:
        await stand_still(verb, home, folder, some_step(verb, chance))
        return span
    delay, early = chance.uniform(0, span), chance.random() < 0.2
    died = await asyncio.to_thread(killed, verb, home, folder, delay, at_once=early)
    return span if died else span * 0.7


async def cancel(
    client: Client, verb: str, folder: Path, chance: random.Random, span: float, *, at_a_step: bool
) -> bool:
    """Cancel a transfer somewhere: at a step, or after a part of *span* seconds.

    False if it came to its end before.
    """
    last = some_step(verb, chance) if at_a_step else -1
    count = 0

    def step(_: int) -> None:
        nonlocal count
        count += 1
        if count == last:
            task.cancel()

    task = asyncio.create_task(run(client, verb, folder, step))
    if not at_a_step:
        await asyncio.sleep(chance.uniform(0, span))
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return task.cancelled()


class TestKill:
    @pytest.mark.parametrize(("verb", "rounds"), [("upload_dir", 12), ("upload_file", 6)])
    async def test_upload(self, tmp_path: Path, verb: str, rounds: int) -> None:
        home, folder = tmp_path / "home", tmp_path / "folder"
        chance = random.Random(verb)
        await make(home, 0)
        trees.write(folder, trees.tree(0))
        span = await asyncio.to_thread(seconds, verb, home, folder)
        for version in range(1, rounds + 1):
            files = trees.tree(version)
            trees.write(folder, files)
            async with neuro_sdk.local(home) as client:
                if version % 2:
                    await client.buckets.blob_rm(URI, recursive=True)
                before = await fetched(client)
            span = await kill(verb, home, folder, chance, span, at_a_step=version % 2 == 0)
            async with neuro_sdk.local(home) as client:
                trees.changed(await fetched(client), before, files)
                await run(client, verb, folder, lambda _: None)
                after = await fetched(client)
                assert after["big"] == files["big"]
                if verb == "upload_dir":
                    assert after == files
            left = trees.hidden(bucket_root(home))
            assert all(name.startswith(".neuro-sdk/writing/") for name in left)

    @pytest.mark.parametrize(
        ("verb", "rounds"),
        [("download_dir", 6), ("continue_dir", 6), ("download_file", 4), ("continue_file", 4)],
    )
    async def test_download(self, tmp_path: Path, verb: str, rounds: int) -> None:
        home, folder = tmp_path / "home", tmp_path / "folder"
        folder.mkdir()
        chance = random.Random(verb)
        await make(home, 0)
        span = await asyncio.to_thread(seconds, verb, home, folder)
        for version in range(1, rounds + 1):
            files = trees.tree(version)
            async with neuro_sdk.local(home) as client:
                await put(client, version)
            if version % 2:
                for name in trees.read(folder):
                    (folder / name).unlink()
            before = trees.read(folder)
            span = await kill(verb, home, folder, chance, span, at_a_step=version % 2 == 0)
            trees.changed(trees.read(folder), before, files)
            async with neuro_sdk.local(home) as client:
                again = verb.replace("download", "continue") if version % 3 else verb
                await run(client, again, folder, lambda _: None)
                assert await fetched(client) == files
            found = trees.read(folder)
            assert found["big"] == files["big"]
            if verb.endswith("dir"):
                assert found == files
            assert trees.hidden(folder) == []

    async def test_what_was_downloaded_is_taken_up(self, tmp_path: Path) -> None:
        home, folder = tmp_path / "home", tmp_path / "folder"
        body = await make_huge(home)
        await stand_still("download_file", home, folder, 3)
        part, version = sorted(folder.iterdir())
        assert (part.suffix, version.suffix) == (".part", ".version")
        done = part.stat().st_size
        assert 0 < done < len(body)
        assert body.startswith(part.read_bytes())
        steps: list[int] = []
        async with neuro_sdk.local(home) as client:
            await run(client, "continue_file", folder, steps.append)
        assert steps[0] > done
        assert trees.read(folder) == {"big": body}
        assert trees.hidden(folder) == []

    async def test_what_another_version_left_is_not(self, tmp_path: Path) -> None:
        home, folder = tmp_path / "home", tmp_path / "folder"
        await make_huge(home)
        await stand_still("download_file", home, folder, 3)
        assert len(trees.hidden(folder)) == 2
        async with neuro_sdk.local(home) as client:
            await put(client, 2)
            await run(client, "continue_file", folder, lambda _: None)
        assert trees.read(folder) == {"big": trees.content("big", 2)}
        assert trees.hidden(folder) == []

    async def test_what_a_killed_upload_left_is_swept(self, tmp_path: Path) -> None:
        home, folder = tmp_path / "home", tmp_path / "folder"
        await make(home, 1)
        trees.write(folder, trees.tree(2))
        await stand_still("upload_file", home, folder, 9)
        (left,) = trees.hidden(bucket_root(home))
        old = time.time() - 25 * 3600
        os.utime(bucket_root(home) / left, (old, old))
        async with neuro_sdk.local(home) as client:
            assert await fetched(client) == trees.tree(1)
        assert trees.hidden(bucket_root(home)) == []


def interrupt(verb: str, home: Path, folder: Path, delay: float | None) -> float | None:
    """Send SIGINT after *delay* seconds; how long the script took if it was over before."""
    process = start_script("interrupted.py", verb, home, folder)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        began = time.monotonic()
        if delay is not None:
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    took = time.monotonic() - began
    assert not any(noise in err for noise in NOISE), err
    if process.returncode == 0:
        assert (out, err) == ("done\n", "")
        return took
    assert took < 10
    assert process.returncode == -signal.SIGINT, err
    assert out == ""
    assert err.count("Traceback") <= 2, err  # the cancellation, and what came of it
    assert err.endswith("\nKeyboardInterrupt\n"), err
    return None


class TestInterrupt:
    @pytest.mark.parametrize("verb", ["upload_dir", "upload_file", "download_dir", "download_file"])
    async def test_script(self, tmp_path: Path, verb: str) -> None:
        home, source, folder = tmp_path / "home", tmp_path / "source", tmp_path / "folder"
        chance = random.Random(verb)
        await make(home, 0)
        folder.mkdir()
        trees.write(source, trees.tree(1))
        place = source if verb.startswith("upload") else folder
        span = await asyncio.to_thread(interrupt, verb, home, place, None)
        assert span is not None
        ends: list[float | None] = []
        # The machine may have been slower when the time was taken, so ever earlier if need be.
        while len(ends) < 3 or (None not in ends and len(ends) < 10):
            delay = chance.uniform(0, span * 0.9 ** (1 + len(ends)))
            ends.append(await asyncio.to_thread(interrupt, verb, home, place, delay))
            async with neuro_sdk.local(home) as client:
                trees.changed(await fetched(client), trees.tree(0), trees.tree(1))
            trees.changed(trees.read(folder), {}, trees.tree(0))
            assert trees.hidden(bucket_root(home)) == []
            assert {name.rpartition(".")[2] for name in trees.hidden(folder)} <= {"part", "version"}
        assert None in ends


async def timed(work: Coroutine[None, None, None]) -> float:
    began = time.monotonic()
    await work
    return time.monotonic() - began


async def at_rest(fds: set[str]) -> None:
    """Wait until nothing of a cancelled call is left, or fail.

    What was open before may have gone: an idle connection of another test does. A write that the
    system took up before the cancellation ends when the disk lets it, on a busy one not soon.
    """
    end = time.monotonic() + 60
    while True:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        new = open_files() - fds
        if not tasks and not new:
            return
        if time.monotonic() > end:
            held = gc.collect()
            pytest.fail(f"left: {tasks}, {new}; {open_files() - fds} after {held} objects went")
        await asyncio.sleep(0.01)


def open_files() -> set[str]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
    return found


class TestCancel:
    @pytest.mark.parametrize("verb", ["upload_dir", "upload_file"])
    async def test_upload(self, tmp_path: Path, verb: str) -> None:
        home, folder = tmp_path / "home", tmp_path / "folder"
        chance = random.Random(verb)
        await make(home, 0)
        async with neuro_sdk.local(home, transfer=trees.STEPS) as client:
            trees.write(folder, trees.tree(0))
            span = await timed(run(client, verb, folder, lambda _: None))
            before = await fetched(client)
            fds = open_files()
            for version in range(1, 10):
                files = trees.tree(version)
                trees.write(folder, files)
                at_a_step = version % 2 == 0
                ended = await cancel(client, verb, folder, chance, span, at_a_step=at_a_step)
                assert ended or not at_a_step
                span *= 1 if ended else 0.9  # the machine was slower when the time was taken
                assert trees.hidden(bucket_root(home)) == []
                await at_rest(fds)
                found = await fetched(client)
                trees.changed(found, before, files)
                before = found
            await run(client, "upload_dir", folder, lambda _: None)
            assert await fetched(client) == files

    @pytest.mark.parametrize(
        "verb", ["download_dir", "continue_dir", "download_file", "continue_file"]
    )
    async def test_download(self, tmp_path: Path, verb: str) -> None:
        home, folder = tmp_path / "home", tmp_path / "folder"
        folder.mkdir()
        chance = random.Random(verb)
        await make(home, 0)
        async with neuro_sdk.local(home, transfer=trees.STEPS) as client:
            span = await timed(run(client, verb, folder, lambda _: None))
            before = trees.read(folder)
            fds = open_files()
            for version in range(1, 7):
                files = trees.tree(version)
                await put(client, version)
                at_a_step = version % 2 == 0
                ended = await cancel(client, verb, folder, chance, span, at_a_step=at_a_step)
                assert ended or not at_a_step
                span *= 1 if ended else 0.9  # the machine was slower when the time was taken
                await at_rest(fds)
                found = trees.read(folder)
                trees.changed(found, before, files)
                before = found
                left = trees.hidden(folder)
                assert len(left) <= 2 * len(trees.LARGE)
                assert all(name.endswith((".part", ".version")) for name in left)
            await run(client, "continue_dir", folder, lambda _: None)
            assert trees.read(folder) == files
            assert trees.hidden(folder) == []

    async def test_many_small_blobs(self, tmp_path: Path) -> None:
        # The engine goes on with a call whose caller has been cancelled.
        home = tmp_path / "home"
        chance = random.Random(6)
        await make(home, 0)
        async with neuro_sdk.local(home) as client, client.buckets.open("photos") as bucket:
            for _ in range(125):
                body = chance.randbytes(chance.randrange(300_000))
                jobs = [bucket.put_blob(f"many/{number}", body) for number in range(4)]
                tasks = [asyncio.create_task(job) for job in jobs]
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
                await asyncio.sleep(chance.choice([0, 0.0001, 0.0003, 0.001]))
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                assert trees.hidden(bucket_root(home)) == []

    async def test_single_blobs(self, tmp_path: Path) -> None:
        home = tmp_path / "home"
        chance = random.Random(5)
        await make(home, 0)
        body = chance.randbytes(300_000)

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(body), 30_000):
                await asyncio.sleep(0)
                yield body[at : at + 30_000]

        async with neuro_sdk.local(home) as client, client.buckets.open("photos") as bucket:
            await fetched(client)
            fds = open_files()
            for _ in range(60):
                stream = bucket.fetch_blob("tree/big")
                jobs = [
                    bucket.put_blob("one", body),
                    bucket.put_blob("two", pieces),
                    bucket.blob_rm("one", recursive=True),
                    anext(stream),
                    anext(bucket.list_blobs("tree/")),
                    bucket.head_blob("tree/a"),
                    client.buckets.list_blobs("blob:photos/tree", recursive=True).__anext__(),
                ]
                tasks = [asyncio.ensure_future(job) for job in jobs]
                await asyncio.sleep(chance.uniform(0, 0.02))
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    with contextlib.suppress(asyncio.CancelledError, neuro_sdk.BlobNotFound):
                        await task
                await stream.aclose()
                del stream, tasks, jobs, task
                assert trees.hidden(bucket_root(home)) == []
                await at_rest(fds)
                for key in ("one", "two"):
                    with contextlib.suppress(neuro_sdk.BlobNotFound):
                        assert (await bucket.head_blob(key)).size == len(body)
