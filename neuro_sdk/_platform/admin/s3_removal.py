"""Removing a bucket of an S3 store: only when empty, or with all that is in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...errors import BucketNotEmpty, StorageError
from . import Place
from .names import about

if TYPE_CHECKING:
    from .s3_calls import Calls

__all__ = ["delete_bucket"]

_PAGE = 1000
_ROUNDS = 10
# XML 1.0 cannot carry these, and a bulk request is XML.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


async def delete_bucket(calls: Calls, place: Place, *, force: bool, store_refuses: bool) -> None:
    """Delete the bucket; BucketNotEmpty while blobs remain, unless *force*.

    A missing one counts as success. *store_refuses* says that the store never deletes a bucket
    that is not empty; where it may, a blob that arrives between our look and the deletion is lost.
    """
    if not force:
        if not store_refuses and await _some_blobs(calls, place, 1):
            raise BucketNotEmpty("blobs remain in the bucket", bucket=about(place))
        await _delete(calls, place)
        return
    for _ in range(_ROUNDS):
        await _empty(calls, place)
        try:
            await _delete(calls, place)
        except BucketNotEmpty:
            continue  # somebody is still writing
        return
    raise BucketNotEmpty("blobs are written faster than they are removed", bucket=about(place))


async def _delete(calls: Calls, place: Place) -> None:
    await calls.s3(
        "delete_bucket", about=about(place), tolerate=("NoSuchBucket",), Bucket=place.name
    )


async def _empty(calls: Calls, place: Place) -> None:
    """Remove all blobs and all uploads that have begun, as far as the store lets go of them."""
    before: object = None
    while (keys := await _some_blobs(calls, place, _PAGE)) not in ([], before):
        await _delete_blobs(calls, place, keys)
        before = keys
    while (uploads := await _some_uploads(calls, place)) not in ([], before):
        before = uploads
        for upload in uploads:
            await calls.s3(
                "abort_multipart_upload",
                about=about(place),
                tolerate=("NoSuchUpload", "NoSuchBucket"),
                Bucket=place.name,
                Key=upload["Key"],
                UploadId=upload["UploadId"],
            )


async def _some_blobs(calls: Calls, place: Place, limit: int) -> list[str]:
    """The keys of some blobs; none of a bucket that is not there."""
    answer = await calls.s3(
        "list_objects_v2",
        about=about(place),
        tolerate=("NoSuchBucket",),
        Bucket=place.name,
        MaxKeys=limit,
    )
    return [found["Key"] for found in (answer or {}).get("Contents", ())]


async def _some_uploads(calls: Calls, place: Place) -> list[dict[str, Any]]:
    answer = await calls.s3(
        "list_multipart_uploads",
        about=about(place),
        tolerate=("NoSuchBucket",),
        Bucket=place.name,
    )
    return list((answer or {}).get("Uploads", ()))


async def _delete_blobs(calls: Calls, place: Place, keys: list[str]) -> None:
    for key in filter(_NOT_XML.search, keys):
        await calls.s3("delete_object", about=about(place), Bucket=place.name, Key=key)
    bulk = [{"Key": key} for key in keys if not _NOT_XML.search(key)]
    if not bulk:
        return
    answer = await calls.s3(
        "delete_objects",
        about=about(place),
        tolerate=("NoSuchBucket",),
        Bucket=place.name,
        Delete={"Objects": bulk, "Quiet": True},
    )
    for failed in (answer or {}).get("Errors", ()):
        raise StorageError(
            f"the store could not remove a blob: {failed.get('Code')}",
            bucket=about(place),
            key=failed.get("Key"),
        )
