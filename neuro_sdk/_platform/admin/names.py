"""How buckets are called: in errors, and at their providers."""

from __future__ import annotations

import hashlib
import re
import secrets

from ..._core.models import Bucket
from . import Place

__all__ = ["about", "bucket_name"]

_CUT = 45


def about(place: Place) -> str:
    """What errors call the bucket."""
    return place.bucket.name or place.bucket.id


def bucket_name(bucket: Bucket) -> str:
    """A new name for *bucket* at its provider: at most 57 of ``a-z 0-9 -``, never one twice."""
    org, project = bucket.org_name or "", bucket.project_name or bucket.owner
    digest = hashlib.sha256((org + project).encode()).hexdigest()[:10]
    parts = [
        re.sub(r"[^a-z0-9-]", "", (part or "").lower()) for part in (org, project, bucket.name)
    ]
    readable = "-".join(["neuro-pl", digest, *filter(None, parts)])
    # Azure takes no two dashes in a row, and Google nothing that is like its own name.
    readable = re.sub("-+", "-", re.sub("g[o0]+gle", "", readable))
    return readable[:_CUT] + secrets.token_hex(6)
