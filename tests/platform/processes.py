"""What other processes do to a registry while the tests look on."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from neuro_sdk.errors import NameTaken, NeuroError

from .opening import SCOPE, open_platform

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


def start(work: Callable[..., None], *args: object) -> tuple[BaseProcess, Connection]:
    """Run ``work(connection, *args)`` in a process; the other end of the connection is ours."""
    ours, theirs = _processes.Pipe()
    process = _processes.Process(target=work, args=(theirs, *args))
    process.start()
    theirs.close()
    return process, ours


def create_many(connection: Connection, home: Path, count: int) -> None:
    async def run() -> list[str]:
        async with open_platform(home) as platform:
            return [(await platform.create_bucket(None, SCOPE)).id for _ in range(count)]

    connection.recv()
    connection.send(asyncio.run(run()))


def create_named(connection: Connection, home: Path, name: str) -> None:
    async def run() -> str:
        async with open_platform(home) as platform:
            try:
                return (await platform.create_bucket(name, SCOPE)).id
            except NameTaken:
                return "taken"

    connection.recv()
    connection.send(asyncio.run(run()))


def create_for_ever(connection: Connection, home: Path) -> None:
    """Make buckets and remove every third again, telling of each what has been acknowledged."""

    async def run() -> None:
        async with open_platform(home) as platform:
            for number in range(1_000_000):
                bucket = await platform.create_bucket(None, SCOPE)
                connection.send(("made", bucket.id))
                if number % 3 == 0:
                    connection.send(("removing", bucket.id))
                    await platform.delete_bucket(bucket, force=number % 2 == 0)
                    connection.send(("removed", bucket.id))

    asyncio.run(run())


def create_without_rights(connection: Connection, home: Path) -> None:
    """Open a platform as a user who may not write to *home*."""
    if os.getuid() == 0:
        os.setuid(65534)

    async def run() -> str:
        try:
            async with open_platform(home):
                return "opened"
        except NeuroError as error:
            return f"{type(error).__name__}: {error}"

    connection.send(asyncio.run(run()))


def create_on_a_full_disk(connection: Connection, home: Path) -> None:
    """Make buckets until files may not grow any more; tell of them and of the error."""

    async def run() -> tuple[list[str], str]:
        made = []
        async with open_platform(home) as platform:
            size = (home / "registry.db-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, resource.RLIM_INFINITY))
            try:
                while True:
                    made.append((await platform.create_bucket(None, SCOPE)).id)
            except NeuroError as error:
                return made, type(error).__mro__[1].__name__ + ": " + str(error)

    connection.send(asyncio.run(run()))
