"""The public names, parameters, order and defaults that the API document gives."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import UTC, datetime
from typing import Any

import pytest

import neuro_sdk
from neuro_sdk import (
    AsyncStream,
    BlobCommonPrefix,
    BlobObject,
    Bucket,
    BucketCredentials,
    BucketEntry,
    BucketHandle,
    Buckets,
    BucketUsage,
    PersistentBucketCredentials,
)

REQUIRED = inspect.Parameter.empty
ADDRESS = {"cluster_name": None, "bucket_owner": None}
BUCKET = {"bucket_id_or_name": REQUIRED}
BLOB = {**BUCKET, "key": REQUIRED}

# Method: parameters by position with their defaults, then those by keyword only.
DOCUMENT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "list": ({"cluster_name": None}, {}),
    "create": ({"name": REQUIRED, "cluster_name": None, "org_name": None}, {}),
    "import_external": (
        {
            "provider": REQUIRED,
            "provider_bucket_name": REQUIRED,
            "credentials": REQUIRED,
            "name": None,
            "cluster_name": None,
            "org_name": None,
        },
        {},
    ),
    "get": ({**BUCKET, **ADDRESS}, {}),
    "rm": ({**BUCKET, **ADDRESS}, {}),
    "request_tmp_credentials": ({**BUCKET, **ADDRESS}, {}),
    "set_public_access": ({**BUCKET, "public_access": REQUIRED, **ADDRESS}, {}),
    "head_blob": ({**BLOB, **ADDRESS}, {}),
    "put_blob": ({**BLOB, "body": REQUIRED, **ADDRESS}, {}),
    "fetch_blob": ({**BLOB, "offset": 0, **ADDRESS}, {}),
    "delete_blob": ({**BLOB, **ADDRESS}, {}),
    "list_blobs": ({"uri": REQUIRED, "recursive": False, "limit": 10000}, {}),
    "glob_blobs": ({"uri": REQUIRED}, {}),
    "upload_file": ({"src": REQUIRED, "dst": REQUIRED}, {"update": False, "progress": None}),
    "download_file": (
        {"src": REQUIRED, "dst": REQUIRED},
        {"update": False, "continue_": False, "progress": None},
    ),
    "upload_dir": (
        {"src": REQUIRED, "dst": REQUIRED},
        {"update": False, "filter": None, "ignore_file_names": frozenset(), "progress": None},
    ),
    "download_dir": (
        {"src": REQUIRED, "dst": REQUIRED},
        {"update": False, "continue_": False, "filter": None, "progress": None},
    ),
    "blob_is_dir": ({"uri": REQUIRED}, {}),
    "blob_rm": ({"uri": REQUIRED}, {"recursive": False, "progress": None}),
    "make_signed_url": ({"uri": REQUIRED, "expires_in_seconds": 3600}, {}),
    "get_disk_usage": ({**BUCKET, **ADDRESS}, {}),
    "persistent_credentials_list": ({"cluster_name": None}, {}),
    "persistent_credentials_create": (
        {"bucket_ids": REQUIRED, "name": REQUIRED, "read_only": False, "cluster_name": None},
        {},
    ),
    "persistent_credentials_get": ({"credential_id_or_name": REQUIRED, "cluster_name": None}, {}),
    "persistent_credentials_rm": ({"credential_id_or_name": REQUIRED, "cluster_name": None}, {}),
}
STREAMS = {
    "list",
    "fetch_blob",
    "list_blobs",
    "glob_blobs",
    "get_disk_usage",
    "persistent_credentials_list",
}
# The document's ``Optional`` without a default: it may be left out as well.
WIDER = {("create", "name"), ("persistent_credentials_create", "name")}
POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
KEYWORD = inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("method", DOCUMENT)
def test_parameters(method: str) -> None:
    positional, keyword = DOCUMENT[method]
    signature = inspect.signature(getattr(Buckets, method))
    _, *parameters = signature.parameters.values()
    ours = {
        parameter.name: None
        if parameter.name in positional and (method, parameter.name) in WIDER
        else parameter.default
        for parameter in parameters
    }
    wanted = {name: None if (method, name) in WIDER else d for name, d in positional.items()}
    assert [p.name for p in parameters if p.kind is POSITIONAL] == [*positional]
    assert {name: ours[name] for name in positional} == wanted
    assert {name: ours[name] for name in keyword} == keyword
    more = [parameter for parameter in parameters if parameter.name not in positional]
    assert all(p.kind is KEYWORD and p.default is not REQUIRED for p in more)


@pytest.mark.parametrize("method", DOCUMENT)
def test_streams_are_no_coroutines_and_the_rest_are(method: str) -> None:
    function = getattr(Buckets, method)
    assert inspect.iscoroutinefunction(function) is (method not in STREAMS)
    if method in STREAMS:
        assert "AsyncStream" in str(inspect.signature(function).return_annotation)


def test_streams_can_be_used_both_ways() -> None:
    for name in ("__aiter__", "__anext__", "__aenter__", "__aexit__", "aclose"):
        assert hasattr(AsyncStream, name)


def test_a_handle_has_the_same_verbs_less_the_address() -> None:
    address = {"bucket_id_or_name", "cluster_name", "bucket_owner", "org_name", "project_name"}
    renamed = {"uri": {"key", "prefix", "pattern"}, "dst": {"key", "prefix", "dst"}}
    renamed["src"] = {"key", "prefix", "src"}
    for method in DOCUMENT.keys() - {"list", "create", "import_external", "get", "rm"}:
        if method.startswith("persistent_"):
            continue
        theirs = inspect.signature(getattr(Buckets, method)).parameters
        ours = inspect.signature(getattr(BucketHandle, method)).parameters
        left = [name for name in theirs if name not in address]
        assert len(left) == len(ours), method
        for name, mine in zip(left, ours, strict=True):
            assert mine in renamed.get(name, {name}), method
            if theirs[name].default is not REQUIRED:
                assert ours[mine].default == theirs[name].default, (method, mine)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (Bucket, "id owner name uri cluster_name org_name created_at provider"),
        (Bucket, "project_name imported public"),
        (BucketCredentials, "bucket_id provider credentials"),
        (PersistentBucketCredentials, "id owner name read_only cluster_name credentials"),
        (BucketEntry, "key bucket size created_at modified_at uri name is_dir is_file"),
        (BlobObject, "key bucket size created_at modified_at uri name is_dir is_file"),
        (BlobCommonPrefix, "key bucket size created_at modified_at uri name is_dir is_file"),
        (BucketUsage, "total_bytes object_count"),
    ],
)
def test_attributes_of_values(kind: type, names: str) -> None:
    there = {field.name for field in dataclasses.fields(kind)} | set(dir(kind))
    assert there >= set(names.split())


def test_values_are_read_only_and_related() -> None:
    bucket = Bucket(
        id="b",
        owner="alice",
        name="n",
        provider=Bucket.Provider.AWS,
        created_at=datetime.now(UTC),
        cluster_name="c",
    )
    values: list[Any] = [
        bucket,
        BucketCredentials(bucket_id="b", provider=Bucket.Provider.AWS, credentials={}),
        BlobObject(key="a/b", bucket=bucket),
        BlobCommonPrefix(key="a/", bucket=bucket),
        BucketUsage(total_bytes=0, object_count=0),
    ]
    for value in values:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, "other")
    assert issubclass(BlobObject, BucketEntry)
    assert issubclass(BlobCommonPrefix, BucketEntry)
    assert [values[2].is_dir(), values[2].is_file()] == [False, True]
    assert [values[3].is_dir(), values[3].is_file()] == [True, False]
    assert [values[2].name, values[3].name] == ["b", "a"]


def test_providers() -> None:
    documented = {"AWS", "MINIO", "AZURE"}
    later = {"GCP", "OPEN_STACK", "SEAWEEDFS", "LOCAL"}
    assert set(Bucket.Provider.__members__) == documented | later
    assert Bucket.Provider("aws") is Bucket.Provider.AWS


def test_errors_of_the_document() -> None:
    assert issubclass(neuro_sdk.BlobNotFound, neuro_sdk.ResourceNotFound)
    assert issubclass(neuro_sdk.ResourceNotFound, ValueError)
    assert issubclass(neuro_sdk.BlobIsADirectory, IsADirectoryError)
