"""Credentials become options of the engine; what is wrong is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from neuro_sdk import Bucket, BucketCredentials, ConfigError, NotSupportedError, TransferConfig
from neuro_sdk._providers.services import _s3_options, open_provider, s3_access

BUCKET = Bucket(
    id="bucket-1",
    owner="ann",
    name="mine",
    provider=Bucket.Provider.MINIO,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    cluster_name="c",
)
KEYS = {
    "bucket_name": "store-bucket",
    "endpoint_url": "http://127.0.0.1:9000",
    "region_name": "eu-north-1",
    "access_key_id": "AK",
    "secret_access_key": "SK-secret",
}


def test_keys_become_options_and_nothing_else_is_asked() -> None:
    options = _s3_options(s3_access(BUCKET, {**KEYS, "session_token": "ST"}))
    assert options == {
        "bucket": "store-bucket",
        "endpoint": "http://127.0.0.1:9000",
        "region": "eu-north-1",
        "access_key_id": "AK",
        "secret_access_key": "SK-secret",
        "session_token": "ST",
        "disable_config_load": "true",
        "disable_ec2_metadata": "true",
        "checksum_algorithm": "crc32c",
    }


def test_amazon_needs_no_endpoint_and_takes_the_bucket_as_host() -> None:
    raw = {name: value for name, value in KEYS.items() if name != "endpoint_url"}
    aws = replace(BUCKET, provider=Bucket.Provider.AWS)
    options = _s3_options(s3_access(aws, raw))
    assert options["endpoint"] == "https://s3.eu-north-1.amazonaws.com"
    assert options["enable_virtual_host_style"] == "true"
    dotted = s3_access(aws, {**raw, "bucket_name": "with.dots"})
    assert not dotted.virtual_host, "a name with dots does not fit the certificate"
    assert dotted.base == "https://s3.eu-north-1.amazonaws.com/with.dots"


@pytest.mark.parametrize("field", ["bucket_name", "endpoint_url", "access_key_id"])
def test_a_missing_field_is_named(field: str) -> None:
    raw = {name: value for name, value in KEYS.items() if name != field}
    with pytest.raises(ConfigError, match=field) as caught:
        s3_access(BUCKET, raw)
    assert "SK-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:9000", "ftp://host", "http://host/path", "http://"]
)
def test_a_wrong_endpoint_is_named(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="endpoint_url"):
        s3_access(BUCKET, {**KEYS, "endpoint_url": endpoint})


@pytest.mark.parametrize(
    ("bucket", "endpoint"), [("data", "http://data.localhost:1"), ("127", "http://127.0.0.1:9000")]
)
def test_a_host_that_the_engine_would_cut_is_refused(bucket: str, endpoint: str) -> None:
    with pytest.raises(ConfigError, match="must not begin with the name"):
        s3_access(BUCKET, {**KEYS, "bucket_name": bucket, "endpoint_url": endpoint})


def test_secrets_are_in_no_repr() -> None:
    assert "SK-secret" not in repr(s3_access(BUCKET, KEYS))


def test_an_unknown_provider_is_refused_by_name() -> None:
    provider = Bucket.Provider("emc_ecs")
    credentials = BucketCredentials(bucket_id="b", provider=provider, credentials={})
    with pytest.raises(NotSupportedError, match="emc_ecs"):
        open_provider(BUCKET, credentials, transfer=TransferConfig())
