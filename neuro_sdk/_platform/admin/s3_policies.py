"""What is said to an S3 store about who may do what."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

__all__ = ["CORS", "LIFECYCLE", "access_policy", "public_policy"]

CORS = {
    "CORSRules": [
        {
            "AllowedOrigins": ["*"],
            "AllowedHeaders": ["*"],
            "AllowedMethods": ["HEAD", "GET", "PUT", "POST", "DELETE"],
            "ExposeHeaders": ["ETag"],
        }
    ]
}
LIFECYCLE = {
    "Rules": [
        {
            "ID": "neuro-abort-incomplete-uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        }
    ]
}

_PUBLIC = "neuro-public-access"
_VERSION = "2012-10-17"
_READ_BUCKET = {"s3:ListBucket", "s3:GetBucketLocation"}
_READ_BLOB = {"s3:GetObject"}
_WRITE_BLOB = {"s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}
_LIST_UPLOADS, _LIST_PARTS = "s3:ListBucketMultipartUploads", "s3:ListMultipartUploadParts"
_LIST_ANYTHING = "s3:List*"


def access_policy(names: Iterable[str], *, read_only: bool, list_anything: bool = False) -> str:
    """The policy document that lets its holder read, or read and write, these buckets only.

    *list_anything* lets writers make all listings there are, for a store that refuses policies
    which name those of uploads and parts.
    """
    buckets = [f"arn:aws:s3:::{name}" for name in names]
    on_bucket, on_blobs = set(_READ_BUCKET), set(_READ_BLOB)
    if not read_only:
        on_bucket |= {_LIST_ANYTHING if list_anything else _LIST_UPLOADS}
        on_blobs |= _WRITE_BLOB | {_LIST_ANYTHING if list_anything else _LIST_PARTS}
    return _document(
        [
            {"Effect": "Allow", "Action": sorted(on_bucket), "Resource": buckets},
            {
                "Effect": "Allow",
                "Action": sorted(on_blobs),
                "Resource": [f"{bucket}/*" for bucket in buckets],
            },
        ]
    )


def public_policy(found: str | None, name: str, *, public: bool) -> str | None:
    """The policy of the bucket *name* with our statements added or taken out, others kept.

    *found* is the policy it has now. None means that the bucket should have none.
    """
    document: dict[str, Any] = json.loads(found) if found else {"Version": _VERSION}
    statements = document.get("Statement", [])
    if isinstance(statements, dict):  # a single one needs no list
        statements = [statements]
    kept = [each for each in statements if _PUBLIC not in str(each.get("Sid", ""))]
    if public:
        kept += [
            _allow_all("list", "s3:ListBucket", f"arn:aws:s3:::{name}"),
            _allow_all("read", "s3:GetObject", f"arn:aws:s3:::{name}/*"),
        ]
    return json.dumps({**document, "Statement": kept}) if kept else None


def _allow_all(which: str, action: str, resource: str) -> dict[str, Any]:
    return {
        "Sid": f"{_PUBLIC}-{which}",
        "Effect": "Allow",
        "Principal": "*",
        "Action": [action],
        "Resource": [resource],
    }


def _document(statements: list[dict[str, Any]]) -> str:
    # Stores count the characters of a policy, so no space is spent.
    return json.dumps({"Version": _VERSION, "Statement": statements}, separators=(",", ":"))
