"""``neuro-sdk demo``: the main job, from an empty disk back to one."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
from yarl import URL

import neuro_sdk
from neuro_sdk.progress import RichProgress

from .help import notes
from .run import async_command

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["demo"]

_ENOUGH = 1001
_SECONDS = 30  # for one answer to the signed URL


@click.command(
    epilog=notes("neuro-sdk demo", "neuro-sdk demo --source ~/pictures --store seaweedfs")
)
@click.option(
    "--path",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the embedded platform here instead of in a temporary folder.",
)
@click.option(
    "--source",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The tree to move; by default the sources of Python's standard library.",
)
@click.option("--plain", is_flag=True, help="No bars and no colours.")
@click.option(
    "--store",
    type=click.Choice(["disk", "seaweedfs", "azurite", "configured"]),
    default="disk",
    help="Keep the blobs on the disk, at a SeaweedFS (S3) or an Azurite (Azure) that is started "
    "for the demo, or on the platform that is configured.",
)
def demo(path: Path | None, source: Path | None, plain: bool, store: str) -> None:
    """Show the main job with a real tree.

    Makes a bucket, uploads the tree, lists and globs it, opens a signed URL with curl,
    downloads the tree, compares every file, and removes all of it again.
    """
    from rich.console import Console

    console = Console(no_color=plain, force_terminal=False if plain else None, highlight=False)
    with tempfile.TemporaryDirectory(prefix="neuro-sdk-demo-") as folder:
        _run(path, source, store, Path(folder), _Show(console))


@async_command
async def _run(path: Path | None, source: Path | None, store: str, work: Path, show: _Show) -> None:
    home, tree = path or work / "platform", source or work / "source"
    if source is None:
        await asyncio.to_thread(_copy_sources, tree)
    async with AsyncExitStack() as stack:
        if store == "seaweedfs":
            endpoint = await stack.enter_async_context(neuro_sdk.serve_store(home))
            show.done("Start SeaweedFS", endpoint)
        description = None
        if store == "azurite":
            from .azurite import run_azurite

            azurite = await stack.enter_async_context(run_azurite(work))
            description = work / "azurite.toml"
            await asyncio.to_thread(azurite.save, description)
            show.done("Start Azurite", azurite.endpoint)
        local = neuro_sdk.local(home, store=description)
        opening = neuro_sdk.get() if store == "configured" else local
        client = await stack.enter_async_context(opening)
        await _main_job(client, tree, work / "copy", show)
    show.conclude()


@dataclass
class _Show:
    """Tells what was done, and in the end how long each step took."""

    console: Console
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    def done(self, step: str, result: str) -> None:
        from rich.markup import escape

        now = time.monotonic()
        self.rows.append((step, result, f"{now - self.since:.2f} s"))
        self.console.print(f"[green]{step}[/]: {escape(result)}", soft_wrap=True)
        self.since = now

    def conclude(self) -> None:
        from rich.markup import escape
        from rich.table import Table

        table = Table("step", "result", "time", title="What was done")
        for step, result, seconds in self.rows:
            table.add_row(step, escape(result), seconds)
        self.console.print(table)


@dataclass(frozen=True)
class _File:
    size: int
    sha256: str


async def _main_job(client: neuro_sdk.Client, tree: Path, copy: Path, show: _Show) -> None:
    buckets = client.buckets
    before = await asyncio.to_thread(_contents, tree)
    if not before:
        raise click.ClickException(f"there are no files in {tree}")
    size = sum(file.size for file in before.values())
    show.done("Read the source", f"{len(before)} files, {size} bytes")

    # A name of its own, so that a platform that is kept may hold anything.
    name = f"demo-{secrets.token_hex(4)}"
    bucket = await buckets.create(name)
    root = f"blob:{name}/tree"
    show.done("Make a bucket", str(bucket.uri))

    with RichProgress("Upload", console=show.console) as bar:
        await buckets.upload_dir(tree, root, progress=bar)
    _check(bar.completed == len(before), f"{bar.completed} of {len(before)} files were uploaded")
    _check(bar.bytes == size, f"progress told of {bar.bytes} bytes of {size}")
    show.done("Upload the tree", f"{bar.completed} files, {bar.bytes} bytes")

    entries = [entry async for entry in buckets.list_blobs(f"{root}/", True, None)]
    listed = {entry.key.removeprefix("tree/"): entry.size for entry in entries if entry.is_file()}
    sizes = {path: file.size for path, file in before.items()}
    _check_same(sizes, listed, "sizes in the listing")
    show.done("List it", f"{len(listed)} blobs, {sum(listed.values())} bytes")

    found = {entry.key async for entry in buckets.glob_blobs(f"{root}/**/*.py")}
    wanted = {f"tree/{path}" for path in before if path.endswith(".py")}
    _check(found == wanted, f"the glob found {len(found)} blobs instead of {len(wanted)}")
    show.done("Glob it", f"{len(found)} match **/*.py")

    largest = max(before, key=lambda path: before[path].size)
    url = await buckets.make_signed_url(bucket.blob_url(f"tree/{largest}"), 60)
    body, tool = await _open(url)
    _check(
        hashlib.sha256(body).hexdigest() == before[largest].sha256,
        f"the bytes behind the signed URL are not those of {largest}",
    )
    show.done("Open a signed URL", f"{len(body)} bytes of {largest} by {tool}")

    with RichProgress("Download", console=show.console) as bar:
        await buckets.download_dir(root, copy, progress=bar)
    show.done("Download the tree", f"{bar.completed} files, {bar.bytes} bytes")

    after = await asyncio.to_thread(_contents, copy)
    _check_same(before, after, "files")
    show.done("Compare", f"{len(after)} files have the same SHA-256")

    with RichProgress("Remove", console=show.console) as bar:
        await buckets.blob_rm(root, recursive=True, progress=bar)
    left = [entry.key async for entry in buckets.list_blobs(f"blob:{name}", True, None)]
    _check(not left, f"{len(left)} blobs are still there, such as {left[:5]}")
    await buckets.rm(name)
    _check(name not in [found.name async for found in buckets.list()], "the bucket is still there")
    show.done("Remove", f"{bar.deleted} blobs and the bucket; nothing is left")


async def _open(url: URL) -> tuple[bytes, str]:
    """The bytes behind *url*, read by a program that knows nothing of this package."""
    curl = await asyncio.to_thread(shutil.which, "curl")
    if curl is None:
        return await asyncio.to_thread(_read, url), "urllib, for curl is not installed"
    # Neither the user's .curlrc nor a proxy has a say: the URL is of this machine.
    process = await asyncio.create_subprocess_exec(
        *(curl, "--disable", "--noproxy", "*", "--silent", "--show-error", "--fail"),
        *("--max-time", str(_SECONDS), str(url)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    body, complaint = await process.communicate()
    _check(process.returncode == 0, complaint.decode(errors="replace").strip())
    return body, "curl"


def _read(url: URL) -> bytes:
    import urllib.request

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(str(url), timeout=_SECONDS) as answer:
        body: bytes = answer.read()
    return body


def _copy_sources(target: Path) -> None:
    """Copy the standard library's sources and, where few are installed, others beside them."""
    library, packages = (Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib"))
    outside = {"site-packages", "dist-packages"}
    copied = 0
    for path in _files(library):
        inside = path.relative_to(library)
        if path.suffix == ".py" and outside.isdisjoint(inside.parts):
            _copy(path, target / inside)
            copied += 1
    others = (path for path in _files(packages) if path.suffix == ".py")
    for path in islice(others, max(0, _ENOUGH - copied)):
        _copy(path, target / "packages" / path.relative_to(packages))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _contents(folder: Path) -> dict[str, _File]:
    found = {}
    for path in _files(folder):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = _File(file.tell(), digest)
    return found


def _files(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """The files below *folder*; links are followed, but not into a folder that one is in."""
    real = os.path.realpath(folder)
    if real in above:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _files(path, above | {real})
        elif path.is_file():
            yield path


def _check(good: bool, what: str) -> None:
    if not good:
        raise click.ClickException(f"this went wrong: {what}")


def _check_same(before: Mapping[str, object], after: Mapping[str, object], what: str) -> None:
    """Both ways: what is missing, what was never there, and what is another."""
    differing = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    _check(not differing, f"{len(differing)} {what} differ: {', '.join(differing[:5])}")
