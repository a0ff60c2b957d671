"""Credentials to providers: one explicit table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlsplit

from .._core.config import TransferConfig
from .._core.keys import KeyRules
from .._core.models import Bucket, BucketCredentials
from .._core.sigv4 import Keys
from ..errors import ConfigError, NotSupportedError
from ..protocols import OpenProvider, Provider
from .azure import AZURE_RULES, AzureEngine, azure_access
from .fields import required as _field
from .gcs import GCS_RULES, GcsEngine, gcs_access
from .local import LocalProvider
from .objects import ObjectProvider
from .s3 import S3Access, S3Requests
from .s3_engine import S3Engine
from .s3_verbs import S3Multipart

__all__ = ["PROVIDERS", "open_provider", "opener"]

_Make = Callable[[Bucket, Mapping[str, str], bool, TransferConfig], Provider]

# Listings are XML 1.0, which cannot hold these; a key with one would come back as another.
_NOT_XML = "".join(map(chr, [*range(9), 11, 12, 13, *range(14, 32), 0xFFFE, 0xFFFF]))
_S3_RULES = KeyRules(forbidden=_NOT_XML)
# The policies of SeaweedFS, which scope credentials, do not match a key with a star in front.
_SEAWEEDFS_RULES = KeyRules(forbidden=_NOT_XML + "\\", forbidden_first="*", max_segment=255)


def _local(
    bucket: Bucket, raw: Mapping[str, str], read_only: bool, transfer: TransferConfig
) -> Provider:
    del transfer  # the disk is not asked over a network
    root = _field(raw, "root", bucket)
    return LocalProvider(bucket, root, read_only=read_only or raw.get("read_only") == "true")


def _s3(
    bucket: Bucket,
    raw: Mapping[str, str],
    read_only: bool,
    transfer: TransferConfig,
    *,
    rules: KeyRules = _S3_RULES,
    folders: bool = False,
) -> Provider:
    del read_only  # the store knows what its credentials allow
    access = s3_access(bucket, raw)
    name = bucket.name or bucket.id
    requests = S3Requests(access, name=name, transfer=transfer)
    engine = S3Engine(_s3_options(access), requests, bucket=name, transfer=transfer)
    return ObjectProvider(
        bucket,
        engine,
        rules=rules,
        transfer=transfer,
        bulk_delete=engine.delete_many,
        multipart=S3Multipart(requests),
        folders=folders,
        closing=engine.close,
    )


def s3_access(bucket: Bucket, raw: Mapping[str, str]) -> S3Access:
    """Where the bucket is and its keys; ConfigError names a field that is missing or wrong."""
    name = _field(raw, "bucket_name", bucket)
    region = raw.get("region_name") or "us-east-1"
    endpoint = (raw.get("endpoint_url") or "").rstrip("/")
    if not endpoint:
        if bucket.provider is not Bucket.Provider.AWS:
            _field(raw, "endpoint_url", bucket)
        endpoint = f"https://s3.{region}.amazonaws.com"
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        raise ConfigError(
            f"the field 'endpoint_url' of the credentials must be http(s)://HOST[:PORT], "
            f"not {endpoint!r}",
            bucket=bucket.name,
        )
    # The engine would cut the first label of the host off and send the keys elsewhere.
    if parts.hostname.startswith(f"{name}."):
        raise ConfigError(
            f"the host of 'endpoint_url' {endpoint!r} must not begin with the name of the bucket",
            bucket=bucket.name,
        )
    amazon = parts.hostname.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return S3Access(
        bucket=name,
        endpoint=endpoint,
        region=region,
        virtual_host=amazon and "." not in name,
        keys=Keys(
            access_key=_field(raw, "access_key_id", bucket),
            secret_key=_field(raw, "secret_access_key", bucket),
            session_token=raw.get("session_token") or None,
        ),
    )


def _s3_options(access: S3Access) -> dict[str, str]:
    options = {
        "bucket": access.bucket,
        "endpoint": access.endpoint,
        "region": access.region,
        "access_key_id": access.keys.access_key,
        "secret_access_key": access.keys.secret_key,
        # Neither the environment nor a metadata service has a say in what is opened.
        "disable_config_load": "true",
        "disable_ec2_metadata": "true",
        "checksum_algorithm": "crc32c",  # stores take no body that does not fit it
    }
    if access.keys.session_token is not None:
        options["session_token"] = access.keys.session_token
    if access.virtual_host:
        options["enable_virtual_host_style"] = "true"
    return options


def _azure(
    bucket: Bucket, raw: Mapping[str, str], read_only: bool, transfer: TransferConfig
) -> Provider:
    del read_only  # the store knows what its credentials allow
    engine = AzureEngine(
        azure_access(bucket, raw), bucket=bucket.name or bucket.id, transfer=transfer
    )
    return ObjectProvider(
        bucket, engine, rules=AZURE_RULES, transfer=transfer, closing=engine.close
    )


def _gcs(
    bucket: Bucket, raw: Mapping[str, str], read_only: bool, transfer: TransferConfig
) -> Provider:
    del read_only  # the store knows what its credentials allow
    engine = GcsEngine(gcs_access(bucket, raw), bucket=bucket.name or bucket.id, transfer=transfer)
    return ObjectProvider(
        bucket, engine, rules=GCS_RULES, transfer=transfer, direct=False, closing=engine.close
    )


PROVIDERS: Mapping[Bucket.Provider, _Make] = {
    Bucket.Provider.AWS: _s3,
    Bucket.Provider.AZURE: _azure,
    Bucket.Provider.GCP: _gcs,
    Bucket.Provider.LOCAL: _local,
    Bucket.Provider.MINIO: _s3,
    Bucket.Provider.OPEN_STACK: _s3,
    Bucket.Provider.SEAWEEDFS: partial(_s3, rules=_SEAWEEDFS_RULES, folders=True),
}


def opener(transfer: TransferConfig) -> OpenProvider:
    """Opens buckets with these bounds."""
    return partial(open_provider, transfer=transfer)


def open_provider(
    bucket: Bucket, credentials: BucketCredentials, *, transfer: TransferConfig
) -> Provider:
    """The bytes of *bucket*; NotSupportedError names a provider that this version cannot open."""
    make = PROVIDERS.get(credentials.provider)
    if make is None:
        known = ", ".join(sorted(provider.value for provider in PROVIDERS))
        raise NotSupportedError(
            f"this version cannot open blobs at the provider {credentials.provider.value!r}, "
            f"only at: {known}",
            bucket=bucket.name or bucket.id,
        )
    return make(bucket, credentials.credentials, credentials.read_only, transfer)
