"""Plans that were made elsewhere, and parts of them: done from what the plan itself says.

What is there already as the operation wants it is not moved again, so that a part that was cut
short can be applied once more.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._core.keys import common_text
from .._core.models import BlobObject, Bucket
from .._core.plan import Action
from .._core.plans import PlannedStep
from ..errors import IllegalArgumentError
from ..progress import AbstractRecursiveFileProgress
from ..protocols import Provider
from .copy import Copy
from .download import Download
from .plans import TreePlan, again, check_blobs, check_files
from .steps import Step
from .upload import Upload
from .walk import Found, Kind

__all__ = ["apply_copy", "apply_download", "apply_upload", "check_part"]

_MOVED = (Action.COPY, Action.APPEND)


def check_part(plan: TreePlan) -> None:
    """Raise IllegalArgumentError unless *plan* only moves, and knows what it moves."""
    for step in plan.steps:
        if step.action in (Action.REMOVE, Action.FAIL):
            raise IllegalArgumentError(
                f"{step.path!r} is not moved but has the action {step.action.value!r}; "
                "apply the parts that plan.split() gives",
            )


async def apply_upload(
    upload: Upload, plan: TreePlan, progress: AbstractRecursiveFileProgress | None
) -> None:
    """Upload what *plan* says; PlanOutdated, with nothing touched, if a file is another now."""
    base = str(upload.root).rstrip("/")
    found = [_found(step, f"{base}/{step.path}") for step in _moved(plan)]
    await check_files(upload, [Step(one.path, one, Action.COPY) for one in found])
    await upload.run(again(await upload.steps_of(found)), progress, exact=True)


async def apply_download(
    download: Download, plan: TreePlan, progress: AbstractRecursiveFileProgress | None
) -> None:
    """Download what *plan* says; PlanOutdated, with nothing touched, if a blob is another now."""
    bucket, prefix = download.provider.bucket, download.prefix
    blobs = [_blob(step, bucket, prefix) for step in _moved(plan)]
    await _check_blobs(download.provider, prefix, blobs)
    markers = [_blob(PlannedStep(Action.COPY, path), bucket, prefix) for path in plan.folders]
    steps = await download.steps_of([*markers, *blobs])
    await download.run(again(steps), progress)


async def apply_copy(
    copy: Copy, plan: TreePlan, progress: AbstractRecursiveFileProgress | None
) -> None:
    """Copy what *plan* says; PlanOutdated, with nothing touched, if a blob is another now."""
    blobs = [_blob(step, copy.source.bucket, copy.prefix) for step in _moved(plan)]
    await _check_blobs(copy.source, copy.prefix, blobs)
    await copy.run(again(await copy.steps_of(blobs)), progress, exact=True)


async def _check_blobs(provider: Provider, prefix: str, blobs: Sequence[BlobObject]) -> None:
    if blobs:
        planned = {blob.key: blob for blob in blobs}
        await check_blobs(provider, prefix, planned, within=common_text([*planned]))


def _moved(plan: TreePlan) -> Sequence[PlannedStep]:
    return plan.of(*_MOVED)


def _found(step: PlannedStep, local: str) -> Found:
    if step.path == "" or step.path.endswith("/"):
        return Found(Kind.EMPTY_FOLDER, step.path, local)
    return Found(Kind.FILE, step.path, local, step.size, step.modified_at)


def _blob(step: PlannedStep, bucket: Bucket, prefix: str) -> BlobObject:
    return BlobObject(
        key=prefix + step.path,
        bucket=bucket,
        size=step.size,
        modified_at=step.modified_at,
        etag=step.etag,
    )
