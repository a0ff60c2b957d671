"""Options of OpenDAL's schemes: which there are, and the provider of a bucket they describe."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from .._core.config import TransferConfig
from .._core.models import Bucket, BucketCredentials
from ..errors import ConfigError
from ..protocols import Provider
from .opendal import schemes
from .services import open_provider

__all__ = ["MAKERS", "azure_fields", "bucket_of", "check_options", "open_kind"]


def check_options(scheme: str, options: Mapping[str, str]) -> None:
    """Raise ConfigError unless OpenDAL knows *scheme* and it knows all *options*."""
    known = schemes().get(scheme)
    if known is None:
        raise ConfigError(
            f"there is no scheme {scheme!r}{_meant(scheme, schemes())}; "
            f"known are: {', '.join(sorted(schemes()))}"
        )
    for name in options:
        if name not in known.allowed:
            raise ConfigError(
                f"the scheme {scheme!r} knows no option {name!r}{_meant(name, known.allowed)}; "
                f"it knows: {', '.join(sorted(known.allowed))}"
            )
    needed = known.required | ({"root"} if scheme == "fs" else set())
    for name in sorted(needed):
        if not options.get(name):
            raise ConfigError(f"the scheme {scheme!r} needs the option {name!r}")


def _meant(name: str, known: Mapping[str, object] | frozenset[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _s3(name: str, options: Mapping[str, str], transfer: TransferConfig) -> Provider | None:
    fields = {
        "bucket": "bucket_name",
        "endpoint": "endpoint_url",
        "region": "region_name",
        "access_key_id": "access_key_id",
        "secret_access_key": "secret_access_key",
        "session_token": "session_token",
    }
    told = _renamed(options, fields, also={"disable_config_load", "disable_ec2_metadata"})
    if told is None or not (told.get("access_key_id") and told.get("secret_access_key")):
        return None
    kind = Bucket.Provider.MINIO if told.get("endpoint_url") else Bucket.Provider.AWS
    return open_kind(name, kind, told, transfer)


_AZBLOB = {
    "container": "bucket_name",
    "endpoint": "storage_endpoint",
    "account_name": "account_name",
    "account_key": "credential",
    "sas_token": "sas_token",
}


def _azblob(name: str, options: Mapping[str, str], transfer: TransferConfig) -> Provider | None:
    told = _renamed(options, _AZBLOB)
    if told is None or not (told.get("credential") or told.get("sas_token")):
        return None
    return open_kind(name, Bucket.Provider.AZURE, told, transfer)


def _gcs(name: str, options: Mapping[str, str], transfer: TransferConfig) -> Provider | None:
    fields = {
        "bucket": "bucket_name",
        "endpoint": "endpoint_url",
        "credential": "key_data",
        "token": "access_token",
        "skip_signature": "anonymous",
    }
    told = _renamed(options, fields, also={"disable_config_load", "disable_vm_metadata"})
    opened_by = ("key_data", "access_token", "anonymous")
    if told is None or not any(told.get(field) for field in opened_by):
        return None
    return open_kind(name, Bucket.Provider.GCP, told, transfer)


def _renamed(
    options: Mapping[str, str],
    fields: Mapping[str, str],
    also: frozenset[str] | set[str] = frozenset(),
) -> dict[str, str] | None:
    """The options as fields of credentials; None if one of them has no field."""
    if not options.keys() <= fields.keys() | also:
        return None
    return {fields[name]: value for name, value in options.items() if name in fields}


MAKERS: Mapping[str, Callable[[str, Mapping[str, str], TransferConfig], Provider | None]] = {
    "azblob": _azblob,
    "gcs": _gcs,
    "s3": _s3,
}


def open_kind(
    name: str, kind: Bucket.Provider, fields: Mapping[str, str], transfer: TransferConfig
) -> Provider:
    credentials = BucketCredentials(bucket_id=name, provider=kind, credentials=fields)
    return open_provider(bucket_of(name, kind), credentials, transfer=transfer)


def bucket_of(name: str, kind: Bucket.Provider) -> Bucket:
    return Bucket(
        id=name,
        owner="",
        name=name,
        provider=kind,
        created_at=datetime.fromtimestamp(0, UTC),
        cluster_name="driver",
        imported=True,
    )


def azure_fields(options: Mapping[str, str]) -> dict[str, str]:
    """Options of ``azblob`` as fields of credentials; nothing if one of them has no field."""
    return _renamed(options, _AZBLOB) or {}
