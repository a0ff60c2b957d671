"""Who may read a bucket or a blob without keys: its policy, and signed URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yarl import URL

from ...errors import IllegalArgumentError
from . import Place
from .names import about
from .s3_policies import public_policy

if TYPE_CHECKING:
    from .s3_calls import Calls

__all__ = ["set_public", "sign_url"]

_LONGEST_URL = 7 * 24 * 3600
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


async def set_public(calls: Calls, place: Place, public: bool, *, guarded: bool = False) -> None:
    """Let anybody read the blobs, or stop it; the statements of others in the policy stay.

    *guarded* buckets have Amazon's block on such policies, which is lifted and put back.
    """
    label = about(place)
    if guarded and public:
        await calls.s3("delete_public_access_block", about=label, Bucket=place.name)
    found = await calls.s3(
        "get_bucket_policy", about=label, tolerate=("NoSuchBucketPolicy",), Bucket=place.name
    )
    policy = public_policy(found["Policy"] if found else None, place.name, public=public)
    if policy is not None:
        await calls.s3("put_bucket_policy", about=label, Bucket=place.name, Policy=policy)
    elif found:
        await calls.s3("delete_bucket_policy", about=label, Bucket=place.name)
    if guarded and not public:
        await calls.s3(
            "put_public_access_block",
            about=label,
            Bucket=place.name,
            PublicAccessBlockConfiguration=dict.fromkeys(_BLOCKS, True),
        )


async def sign_url(calls: Calls, place: Place, key: str, expires_in: int) -> URL:
    """A URL that gets the blob for *expires_in* seconds; no request is sent."""
    if type(expires_in) is not int or not 1 <= expires_in <= _LONGEST_URL:
        raise IllegalArgumentError(
            f"expires_in must be a whole number of seconds from 1 to {_LONGEST_URL}"
        )
    url = await calls.presign_get(place.name, key, expires_in, about=about(place))
    return URL(url, encoded=True)
