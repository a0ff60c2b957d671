"""The values of the public API."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk._core.models import (
    BlobCommonPrefix,
    BlobObject,
    Bucket,
    BucketCredentials,
    BucketEntry,
    PersistentBucketCredentials,
    blob_objects,
)
from neuro_sdk._core.uri import Scope, parse_blob_uri

BUCKET = Bucket(
    id="bucket-1",
    owner="ann",
    name="photos",
    provider=Bucket.Provider.AWS,
    created_at=datetime(2024, 1, 1, tzinfo=UTC),
    cluster_name="onprem",
    org_name="acme",
    project_name="lab",
)


def test_providers_of_today() -> None:
    assert {provider.value for provider in Bucket.Provider} == {
        *("aws", "minio", "azure", "gcp", "open_stack", "seaweedfs", "local")
    }
    assert all(provider.known for provider in Bucket.Provider)
    assert Bucket.Provider("aws") is Bucket.Provider.AWS
    assert pickle.loads(pickle.dumps(Bucket.Provider.GCP)) is Bucket.Provider.GCP


def test_a_provider_of_tomorrow() -> None:
    provider = Bucket.Provider("emc_ecs")
    assert not provider.known
    assert (provider, str(provider), provider.value) == ("emc_ecs", "emc_ecs", "emc_ecs")
    assert (provider.name, repr(provider)) == ("EMC_ECS", "<Provider.EMC_ECS: 'emc_ecs'>")
    again = Bucket.Provider("emc_ecs")
    assert again == provider
    assert hash(again) == hash(provider)
    assert provider not in list(Bucket.Provider)
    for other in (pickle.loads(pickle.dumps(provider)), copy.copy(provider)):
        assert isinstance(other, Bucket.Provider)
        assert other == provider
        assert not other.known


@pytest.mark.parametrize("value", ["AWS", "Local"])
def test_case_makes_another_provider(value: str) -> None:
    provider = Bucket.Provider(value)
    assert not provider.known
    assert provider != Bucket.Provider(value.lower())


@pytest.mark.parametrize("value", ["", None, 1, b"aws"])
def test_what_is_no_provider(value: object) -> None:
    with pytest.raises(ValueError, match="not a valid"):
        Bucket.Provider(value)  # type: ignore[arg-type]


def test_uris_of_a_bucket() -> None:
    assert str(BUCKET.uri) == "blob://onprem/acme/lab/photos"
    older = dataclasses.replace(BUCKET, org_name=None, project_name=None, name=None)
    assert str(older.uri) == "blob://onprem/ann/bucket-1"
    assert str(BUCKET.blob_url("a b/c?")) == "blob://onprem/acme/lab/photos/a%20b/c%3F"


@given(st.text())
def test_the_uri_of_an_entry_leads_back_to_it(key: str) -> None:
    uri = parse_blob_uri(
        BlobObject(key=key, bucket=BUCKET).uri, Scope(cluster_name="x", org_name="y")
    )
    assert (uri.cluster_name, uri.org_name, uri.project_name) == ("onprem", "acme", "lab")
    assert (uri.bucket, uri.key) == ("photos", key)


@pytest.mark.parametrize(
    ("entry", "name", "is_dir"),
    [
        (BlobObject(key="a/b/c", bucket=BUCKET, size=3), "c", False),
        (BlobObject(key="c", bucket=BUCKET), "c", False),
        (BlobObject(key="a/b/", bucket=BUCKET), "b", True),
        (BlobCommonPrefix(key="a/b/", bucket=BUCKET), "b", True),
        (BlobCommonPrefix(key="", bucket=BUCKET), "", True),
    ],
)
def test_entries(entry: BucketEntry, name: str, is_dir: bool) -> None:
    assert entry.name == name
    assert entry.is_dir() is is_dir
    assert entry.is_file() is not is_dir
    assert "photos" not in repr(entry)
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry.key = "x"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(entry)) == entry


def test_secrets_are_not_shown() -> None:
    one = BucketCredentials(
        bucket_id="bucket-1", provider=Bucket.Provider.AWS, credentials={"secret_key": "s3cr3t"}
    )
    many = PersistentBucketCredentials(
        id="1", owner="ann", name="ci", read_only=True, cluster_name="c", credentials=[one]
    )
    for value in (one, many):
        for text in (repr(value), str(value), f"{value}", f"{[value]!r}"):
            assert "s3cr3t" not in text
            assert "bucket-1" in text


def test_a_blob_made_the_short_way_is_one_like_others() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    short, marker = blob_objects(
        BUCKET, [("a/b", 5, moment, '"tag"', None), ("a/", 3, None, None, moment)]
    )
    whole = BlobObject(key="a/b", bucket=BUCKET, size=5, modified_at=moment, etag='"tag"')
    assert (short, repr(short), hash(short)) == (whole, repr(whole), hash(whole))
    assert marker == BlobObject(key="a/", bucket=BUCKET, created_at=moment)
    assert [field.name for field in dataclasses.fields(BlobObject)] == [
        *("key", "bucket", "size", "created_at", "modified_at", "etag")
    ]
    with pytest.raises(dataclasses.FrozenInstanceError):
        short.size = 6  # type: ignore[misc]
