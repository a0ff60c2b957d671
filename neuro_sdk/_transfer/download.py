"""Trees of a bucket onto the local disk."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path

from yarl import URL

from .._aio import Errand, Job, each, run_bounded
from .._core.config import TransferConfig
from .._core.keys import all_plain, key_error, tree_prefix
from .._core.landing import Collisions, landing_path
from .._core.models import BlobObject, BucketEntry
from .._core.pages import Blobs
from .._core.plan import Action, Side, plan_download
from .._core.uri import file_url
from ..errors import (
    BlobNotADirectory,
    BlobNotFound,
    InvalidKey,
    LocalNotADirectory,
    NeuroError,
)
from ..progress import AbstractRecursiveFileProgress
from ..protocols import Direct, Likely, Provider
from .bounds import Bounds
from .disk import (
    Disk,
    Partial,
    ignores_case,
    make_folder,
    make_folders,
)
from .events import Folder, TreeEvents
from .fetch import Fetch
from .look import Look
from .report import Report
from .steps import LEFT_OUT, Choose, Doing, Filter, Step, Steps, Wanted
from .verify import Held, verify_download

__all__ = ["Download", "choose_download", "list_tree"]

_BATCH = 256  # what is held at once is small, so that the collector has little to look at
_WINDOWS = os.name == "nt"


def _fetch_small(direct: Direct, blob: BlobObject, target: str) -> int:
    Partial.write_whole(target, direct.fetch(blob))
    return blob.size


def choose_download(provider: Provider, *, update: bool, continue_: bool) -> Choose | None:
    """How download_dir decides about what is there already."""
    if not (update or continue_):
        return None
    return partial(plan_download, update=update, continue_=continue_, grain=provider.grain)


def _made_destination(root: str) -> str:
    if os.path.lexists(root) and not os.path.isdir(root):
        raise LocalNotADirectory(f"the destination is a file, not a folder: {root!r}")
    make_folders(root)
    return root.rstrip("/")


def _ignores_case(folder: str) -> bool:
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return ignores_case(folder)


def _landing_url(path: str) -> URL:
    try:
        return file_url(path)
    except UnicodeEncodeError:  # a key that is no text lands nowhere; its failure shows it so
        return file_url(path.encode(errors="replace").decode())


class Download:
    """The blobs below *prefix* on their way to *root*.

    *choose* decides about what is there already; without it all is fetched.
    """

    def __init__(
        self,
        disk: Disk,
        provider: Provider,
        prefix: str,
        root: Path,
        *,
        config: TransferConfig,
        choose: Choose | None,
        skipped: str = "the file there is not older",
        continue_: bool,
        verify: bool = False,
        filter_: Filter | None,
    ) -> None:
        self.disk = disk
        self.provider = provider
        self.root = root
        self.name = provider.bucket.name or provider.bucket.id
        self.prefix = tree_prefix(prefix, provider.rules, bucket=self.name)
        self.config = config
        self.filter = filter_
        self._choose = choose
        self._skipped = skipped
        self.verify = verify
        self._continue = continue_
        self._base = str(root).rstrip("/")
        self._look = Look(disk, root, self.prefix, closely=True)
        self._made: list[tuple[str, NeuroError | None]] = []

    def listing(self) -> AsyncGenerator[Sequence[BucketEntry], None]:
        """All below the prefix; BlobNotFound or BlobNotADirectory if that is nothing."""
        wanted = self._choose is not None and self.filter is None
        likely = self._look.likely if wanted else None
        return list_tree(self.provider, self.prefix, instead="download_file", likely=likely)

    async def ignores_case(self) -> bool:
        """Whether the disk of the destination, which need not be there yet, ignores case."""
        return await self.disk.run(self.root, _ignores_case, str(self.root))

    async def steps(self, *, tell_skipped: bool = True) -> Steps[BlobObject]:
        """What is to be done, decided path by path in the order of the keys."""
        wanted = Wanted(self.filter)
        collisions = Collisions(await self.ignores_case())
        async with aclosing(self.listing()) as pages:
            async for page in pages:
                blobs = Blobs.of(page)
                for start in range(0, len(blobs), _BATCH):
                    batch = blobs[start : start + _BATCH]
                    yield await self._steps(batch, wanted, collisions, tell_skipped)

    async def steps_of(self, blobs: Sequence[BlobObject]) -> Sequence[Step[BlobObject]]:
        """What is to be done with some that were listed before, in their order."""
        collisions = Collisions(await self.ignores_case())
        return await self._steps(Blobs.of(blobs), Wanted(None), collisions) if blobs else []

    async def _steps(
        self,
        page: Blobs,
        wanted: Wanted,
        collisions: Collisions,
        tell_skipped: bool = True,
    ) -> Sequence[Step[BlobObject]]:
        choose, above = self._choose, len(self.prefix)
        paths = [key[above:] for key in page.keys]
        problems = self._problems(page.keys)
        known = await self._known(paths, problems)
        rows = zip(range(len(page)), paths, page.sides(), problems, known, strict=True)
        steps = []
        for number, path, side, problem, there in rows:
            if path == "":
                continue
            if self.filter is not None and not await wanted.wants(path):
                blob = page[number]
                step = Step(path, blob, Action.SKIP, blob.size, LEFT_OUT, left_out=True)
            elif (error := problem or collisions.add(path)) is not None:
                step = Step(path, page[number], error=error)
            elif path[-1] == "/":
                step = Step(path, page[number])
            else:
                action = choose(side, there) if choose is not None else Action.COPY
                if action is Action.SKIP and not tell_skipped:
                    continue
                reason = self._skipped if action is Action.SKIP else ""
                step = Step(path, page[number], action, side.size, reason)
            steps.append(step)
        return steps

    async def _known(
        self, paths: Sequence[str], problems: Sequence[InvalidKey | None]
    ) -> Sequence[Side | None]:
        """What is at the destination of each path, where that is asked for and can be."""
        if self._choose is None:
            return [None] * len(paths)
        if not any(problems):
            return await self._look.sides([f"{self._base}/{path}" for path in paths])
        pairs = zip(paths, problems, strict=True)
        targets = [f"{self._base}/{path}" for path, problem in pairs if problem is None]
        sides = iter(await self._look.sides(targets))
        return [next(sides) if problem is None else None for problem in problems]

    def _problems(self, keys: Sequence[str]) -> Sequence[InvalidKey | None]:
        """Why each of *keys* cannot be fetched or would not land below the destination."""
        if not _WINDOWS and all_plain(keys, self.provider.rules):
            return [None] * len(keys)  # they pass both of what follows
        return [self._problem(key) for key in keys]

    def _problem(self, key: str) -> InvalidKey | None:
        refused = key_error(key, self.provider.rules, bucket=self.name)
        if refused is not None:
            return refused
        try:
            landing_path(key, self.prefix, windows=_WINDOWS, bucket=self.name)
        except InvalidKey as error:
            return error
        return None

    async def run(
        self,
        steps: Steps[BlobObject],
        progress: AbstractRecursiveFileProgress | None,
    ) -> None:
        """Do the *steps*; raise TransferError if any of them failed.

        The destination is made when the first step is there, so a source that is missing
        leaves nothing behind.
        """
        bucket, prefix = self.provider.bucket, self.prefix
        tree = TreeEvents(
            progress,
            lambda path: bucket.blob_url(prefix + path),
            lambda path: _landing_url(f"{self._base}/{path}"),
        )
        doing = Doing(tree, Report("downloaded", self.name))
        await run_bounded(self.config.concurrency, self._jobs(steps, doing))
        doing.conclude()

    async def _jobs(
        self, steps: Steps[BlobObject], doing: Doing
    ) -> AsyncGenerator[Job | Errand, None]:
        self._made.clear()
        bounds = Bounds(self.config)
        fetch = Fetch(self.disk, self.provider, bounds, self._continue)
        async with aclosing(steps):
            first = await anext(steps, None)
            await self.disk.run(self.root, _made_destination, str(self.root))
            doing.tree.enter("")
            async with aclosing(each(_chain(first or (), steps))) as decided:
                async for step in decided:
                    if step.left_out:
                        continue
                    job = await self._job(step, doing, fetch, bounds)
                    if job is not None:
                        yield job

    async def _job(
        self, step: Step[BlobObject], doing: Doing, fetch: Fetch, bounds: Bounds
    ) -> Job | Errand | None:
        path = step.path
        above = _above(path)
        if step.action is Action.SKIP:  # it was seen inside the destination: nothing is made
            doing.tree.enter(above)
            doing.tree.skip(path, step.size)
            return None
        try:
            if step.error is not None:
                if above and self._problem(self.prefix + above) is None:
                    doing.tree.enter(above)
                raise step.error
            folder = await self._make(above, doing)
        except NeuroError as error:
            doing.fail(path, error)
            return None
        if step.action is None:
            return None
        doing.tree.begin(folder)
        work = partial(self._file, step, step.action, doing, fetch, bounds)
        job = partial(doing.run, path, folder, work)
        direct = self.provider.direct if step.action is Action.COPY and not self.verify else None
        if direct is None or not 0 < step.size <= bounds.small:
            return job
        target = f"{self._base}/{path}"
        args = (direct, step.source, target)
        return await doing.in_one_go(
            self.disk, bounds, step, folder, job, target, _fetch_small, *args
        )

    async def _make(self, path: str, doing: Doing) -> Folder:
        folder = doing.tree.enter(path)
        while self._made and not path.startswith(self._made[-1][0]):
            self._made.pop()
        if not self._made or self._made[-1][0] != path:
            failed: NeuroError | None = None
            local = f"{self._base}/{path}"
            try:
                await self.disk.run(local, make_folder, local, self._base or "/")
            except NeuroError as error:
                failed = error
            self._made.append((path, failed))
        broken = self._made[-1][1]
        if broken is not None:
            raise broken
        return folder

    async def _file(
        self,
        step: Step[BlobObject],
        action: Action,
        doing: Doing,
        fetch: Fetch,
        bounds: Bounds,
    ) -> None:
        events, target = doing.tree.file(step.path), f"{self._base}/{step.path}"
        told = Held.back(events) if self.verify else events
        async with bounds.memory(step.size):
            await fetch.file(step.source, target, action, told)
        if self.verify:
            await verify_download(self.disk, self.provider, step.source, target)
            if events is not None:
                events.complete()
        doing.report.done += 1


def _above(path: str) -> str:
    return path[: path.rfind("/") + 1]


async def list_tree(
    provider: Provider, prefix: str, *, instead: str, likely: Likely | None = None
) -> AsyncGenerator[Sequence[BucketEntry], None]:
    """All below *prefix*, "" or a text that ends in a slash.

    BlobNotFound if that is nothing, BlobNotADirectory with a hint at the verb *instead* if it
    is a blob. An empty bucket is an empty directory.
    """
    empty = True
    async with aclosing(provider.pages(prefix, recursive=True, likely=likely)) as pages:
        async for page in pages:
            empty = False
            yield page
    if empty and prefix:
        name, directory = provider.bucket.name or provider.bucket.id, prefix.removesuffix("/")
        try:
            await provider.head(directory)
        except BlobNotFound:
            raise BlobNotFound("nothing lies below this key", bucket=name, key=directory) from None
        raise BlobNotADirectory(
            f"a blob, not a directory; use {instead}", bucket=name, key=directory
        )


async def _chain(first: Sequence[Step[BlobObject]], rest: Steps[BlobObject]) -> Steps[BlobObject]:
    yield first
    async for page in rest:
        yield page
