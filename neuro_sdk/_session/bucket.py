"""What a session needs of a bucket of a platform."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .._aio import Lifetime
from .._core.config import TransferConfig
from .._core.described import Capability, EntryMode, Metadata, PresignedRequest
from .._core.models import Bucket
from .._core.places import place_id
from .._transfer.disk import Disk
from ..errors import NotSupportedError
from ..protocols import ControlPlane, Provider
from .lifetime import begin_tracking
from .session import Session

__all__ = ["open_bucket"]

_FILE = EntryMode(entry_is_file=True, entry_is_dir=False)


async def open_bucket(
    bucket: Bucket,
    control: ControlPlane,
    opened: Callable[[], Awaitable[Provider]],
    disk: Disk,
    transfer: TransferConfig,
    lifetime: Lifetime,
    *,
    remove_created_on_close: bool,
) -> Session:
    """A session on *bucket*."""
    place = place_id("bucket", {"id": bucket.id})
    return Session(
        opened,
        _BucketService(bucket, control, opened),
        disk,
        transfer,
        lifetime,
        name=bucket.name or bucket.id,
        tracking=await begin_tracking(disk, place, opened, remove_created_on_close),
        remove_created_on_close=remove_created_on_close,
    )


class _BucketService:
    """The ``Service`` of a bucket: its platform signs."""

    def __init__(
        self, bucket: Bucket, control: ControlPlane, opened: Callable[[], Awaitable[Provider]]
    ) -> None:
        self._bucket = bucket
        self._control = control
        self._opened = opened

    async def capability(self) -> Capability:
        return Capability(presign=True, presign_read=True)

    async def details(self, key: str) -> Metadata:
        blob = await (await self._opened()).head(key)
        return Metadata(
            mode=_FILE,
            content_length=blob.size,
            etag=blob.etag,
            last_modified=blob.modified_at,
        )

    async def presign(self, operation: str, key: str, expires_in: int) -> PresignedRequest:
        if operation != "read":
            raise NotSupportedError(
                f"a platform signs requests to read, not to {operation}; "
                "open the store itself with OpendalDriver for that",
                bucket=self._bucket.name or self._bucket.id,
                key=key,
            )
        url = await self._control.sign_url(self._bucket, key, expires_in)
        return PresignedRequest(url=str(url), method="GET")
