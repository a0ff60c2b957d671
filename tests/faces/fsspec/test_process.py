"""What a program sees of a file system at its end, after a fork, and in its workers."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from neuro_sdk.fsspec import BlobFileSystem

_HEAD = """
import asyncio, gc, os, sys
import fsspec
from neuro_sdk.fsspec import BlobFileSystem
home = sys.argv[1]
fs = BlobFileSystem(path=home)
"""


def run(script: str, home: Path, *, complaint: str = "") -> list[str]:
    """The lines that it prints; it must end by itself, and well, with that *complaint* or none."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _HEAD + script, home],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert complaint in done.stderr if complaint else done.stderr == ""
    return done.stdout.splitlines()


class TestEnd:
    def test_a_program_that_closes_nothing(self, home: Path) -> None:
        script = """
fs.mkdir("box")
fs.pipe({f"box/{n}": b"x" * 10_000 for n in range(50)})
with fs.open("box/large", "wb") as file:
    file.write(b"x" * (20 << 20))
print(fs.du("box"))
"""
        assert run(script, home) == [str(500_000 + (20 << 20))]

    def test_one_that_ends_often(self, home: Path) -> None:
        run('fs.mkdir("box"); fs.pipe("box/a", b"x")', home)
        for _ in range(4):
            assert run('print(fs.cat("box/a"))', home) == ["b'x'"]

    def test_file_systems_that_are_forgotten_let_go_of_their_clients(self, home: Path) -> None:
        script = """
import threading, time
fs.mkdir("box")
for _ in range(20):
    other = BlobFileSystem(path=home, skip_instance_cache=True)
    other.touch("box/a")
    del other
    gc.collect()
time.sleep(0.5)
print(len(threading.enumerate()) < 12)
"""
        assert run(script, home) == ["True"]

    def test_the_asynchronous_kind(self, home: Path) -> None:
        script = """
async def work():
    async with BlobFileSystem(path=home, asynchronous=True) as fs:
        await fs._mkdir("box")
        await fs._pipe_file("box/a", b"x")
        print(await fs._cat_file("box/a"))
asyncio.run(work())
"""
        assert run(script, home) == ["b'x'"]

    def test_a_file_that_is_still_open_is_not_published(self, home: Path) -> None:
        script = """
fs.mkdir("box")
file = fs.open("box/a", "wb")
file.write(b"x" * (9 << 20))
"""
        run(script, home, complaint="'box/a' was never closed, so nothing of it was published")
        assert run('print(fs.ls("box"))', home) == ["[]"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
class TestFork:
    def test_the_child_is_told_at_once_and_the_parent_goes_on(self, home: Path) -> None:
        script = """
import warnings
warnings.simplefilter("ignore")
fs.mkdir("box")
fs.pipe("box/a", b"x")
file = fs.open("box/b", "wb")
file.write(b"x" * (9 << 20))
reading = fs.open("box/a")
other = fs.open("box/d", "wb")
packed = fs.open("box/c", "w", compression="gzip")
packed.write("x")
calls = [
    lambda: fs.ls("box"), lambda: fs.cat("box/a"), lambda: fs.open("box/a"), fs.close,
    lambda: reading.read(), file.discard, lambda: other.write(b"x" * (9 << 20)),
    lambda: BlobFileSystem(path=home).ls("box"),
    lambda: fsspec.open("blob://box/a", path=home).open(),
    lambda: asyncio.run(fs._ls("box")),
]
pid = os.fork()
if pid == 0:
    import signal
    signal.alarm(20)
    for call in calls:
        try:
            call()
            print("done")
        except Exception as error:
            print(type(error).__name__, "spawn" in str(error))
    sys.stdout.flush()
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
file.close()
packed.close()
reading.close()
other.discard()
print(fs.du("box", total=False))
"""
        *child, parent = run(script, home)
        assert child == ["ForkedProcessError True"] * 10
        assert parent.startswith("{'box/a': 1, 'box/b': 9437184, 'box/c': ")

    def test_before_the_first_use(self, home: Path) -> None:
        script = """
pid = os.fork()
if pid == 0:
    own = BlobFileSystem(path=home)
    own.mkdir("box")
    print(own.ls("", detail=False), flush=True)
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
print(fs.ls("", detail=False))
"""
        assert run(script, home) == ["['box']"] * 2


def _size(fs: BlobFileSystem, path: str) -> int:
    size: int = fs.size(path)
    return size


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_get_it_pickled(fs: BlobFileSystem, method: str) -> None:
    fs.pipe("box/a", b"12345")
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as workers:
        assert workers.submit(_size, fs, "box/a").result(timeout=60) == 5
