"""Buckets at Azure Blob Storage: containers of one account, opened by shared access signatures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from yarl import URL

from ..._core import azure
from ..._core.models import Bucket
from ...errors import (
    BucketNotEmpty,
    BucketNotFound,
    ConfigError,
    ConflictError,
    IllegalArgumentError,
    NeuroError,
    NotSupportedError,
)
from ..tasks import whole
from . import Place
from .names import about, bucket_name

if TYPE_CHECKING:
    from .azure_calls import Access, Acl, Calls, Policy

__all__ = ["AzureAdmin", "AzureClusterConfig"]

_LIFE = timedelta(hours=1)
_ROLE_LIFE = timedelta(days=36525)
_MOST_POLICIES = 5


class AzureClusterConfig(BaseModel):
    """The storage account that a cluster keeps its buckets in.

    ``storage_endpoint`` None means the public cloud of Azure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    provider: Literal[Bucket.Provider.AZURE]
    account_name: str = Field(pattern="^[a-z0-9]{3,24}$")
    account_key: SecretStr
    storage_endpoint: str | None = None

    @field_validator("account_key")
    @classmethod
    def _is_key(cls, value: SecretStr) -> SecretStr:
        if not azure.is_account_key(value.get_secret_value()):
            raise ValueError("must be a key of the account, in base64")
        return value

    @field_validator("storage_endpoint")
    @classmethod
    def _is_endpoint(cls, value: str | None) -> str | None:
        if value is not None and not _endpoint_fits(value):
            raise ValueError("must be http(s)://HOST[:PORT][/PATH]")
        return value.rstrip("/") if value else None

    @property
    def endpoint(self) -> str:
        """Where the account is."""
        return self.storage_endpoint or f"https://{self.account_name}.blob.core.windows.net"


class AzureAdmin:
    """The BucketAdmin of one storage account; made by ``open``."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @classmethod
    async def open(cls, config: AzureClusterConfig) -> AzureAdmin:
        """Make the client; no request is sent."""
        # The package looks about the machine, for a header of its own.
        key = config.account_key.get_secret_value()
        return cls(await asyncio.to_thread(_opened, config.endpoint, config.account_name, key))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._calls.close()

    @whole
    async def create(self, bucket: Bucket) -> str:
        name = bucket_name(bucket)
        await self._calls.create(name, about=bucket.name or bucket.id)
        return name

    @whole
    async def delete(self, place: Place, *, force: bool) -> None:
        # The service removes containers with all that is in them: a blob that arrives between
        # our look and the removal is lost.
        if not force and not await self._calls.is_empty(place.name, about=about(place)):
            raise BucketNotEmpty("blobs remain in the bucket", bucket=about(place))
        await self._calls.delete(place.name, about=about(place))

    async def purge(self, place: Place) -> None:
        """Do nothing: ``delete`` puts nothing aside here."""

    async def check_import(self, place: Place) -> None:
        given = place.credentials or {}
        endpoint = given.get("storage_endpoint")
        if not endpoint:
            raise IllegalArgumentError("the credentials need the field 'storage_endpoint'")
        if not _endpoint_fits(endpoint):
            raise IllegalArgumentError(
                "the field 'storage_endpoint' of the credentials must be http(s)://HOST[:PORT]"
            )
        if not given.get("account_name") and azure.account_of(endpoint) is None:
            raise IllegalArgumentError(
                "the field 'storage_endpoint' does not tell the account; add 'account_name'"
            )
        if not given.get("sas_token") and not azure.is_account_key(given.get("credential", "")):
            raise IllegalArgumentError(
                "the credentials need the field 'sas_token', or 'credential' with a key of the "
                "account in base64"
            )

    async def credentials(self, place: Place, *, read_only: bool) -> Mapping[str, str]:
        access, until = self._calls.access, datetime.now(UTC) + _LIFE
        token = azure.container_sas(
            access.account,
            access.key,
            place.name,
            permissions=azure.READ if read_only else azure.READ_WRITE,
            until=until,
            https=access.https,
        )
        return {**self._opening(place, token), "expiry": until.isoformat()}

    @whole
    async def set_public(self, place: Place, public: bool) -> None:
        def change(acl: Acl) -> None:
            acl.public = public

        if place.credentials is None:
            await self._calls.change_acl(place.name, change, about=about(place))
            return
        calls = await asyncio.to_thread(_calls_of, await self._access(place))
        try:
            await calls.change_acl(place.name, change, about=about(place))
        finally:
            await calls.close()

    async def sign_url(self, place: Place, key: str, expires_in: int) -> URL:
        access = await self._access(place)
        token = azure.blob_sas(
            access.account,
            access.key,
            place.name,
            key,
            until=datetime.now(UTC) + timedelta(seconds=expires_in),
            https=access.https,
        )
        path = f"{place.name}/{azure.url_path(key)}"
        return URL(f"{access.endpoint}/{path}?{token}", encoded=True)

    @whole
    async def create_role(
        self, role: str, places: Sequence[Place], *, read_only: bool
    ) -> Mapping[str, Mapping[str, str]]:
        try:
            await self.narrow_role(role, places, read_only=read_only)
        except BaseException:
            with suppress(NeuroError):  # the first error counts
                await self.delete_role(role, places)
            raise
        access = self._calls.access
        return {
            place.bucket.id: self._opening(
                place,
                azure.policy_sas(access.account, access.key, place.name, role, https=access.https),
            )
            for place in places
        }

    @whole
    async def narrow_role(self, role: str, places: Sequence[Place], *, read_only: bool) -> None:
        policy = _policy(read_only=read_only)
        for place in places:
            await self._calls.change_acl(
                place.name, _with_policy(role, policy, place), about=about(place)
            )

    @whole
    async def delete_role(self, role: str, places: Sequence[Place] = ()) -> None:
        def change(acl: Acl) -> None:
            acl.policies.pop(role, None)

        for place in places:
            with suppress(BucketNotFound):  # the policy went with it
                await self._calls.change_acl(place.name, change, about=about(place))

    def _opening(self, place: Place, token: str) -> dict[str, str]:
        access = self._calls.access
        return {
            "bucket_name": place.name,
            "storage_endpoint": access.endpoint,
            "account_name": access.account,
            "sas_token": token,
        }

    async def _access(self, place: Place) -> Access:
        """The account of the bucket with a key that can sign for it."""
        if place.credentials is None:
            return self._calls.access
        await self.check_import(place)
        given = place.credentials
        endpoint = given["storage_endpoint"].rstrip("/")
        account = given.get("account_name") or azure.account_of(endpoint)
        if not given.get("credential") or account is None:
            raise NotSupportedError(
                "this bucket was imported with a shared access signature, which can neither sign "
                "URLs nor change who may read; import it with a key of the account ('credential')",
                bucket=about(place),
            )
        return _access_of(endpoint, account, given["credential"])


def _with_policy(role: str, policy: Policy, place: Place) -> Callable[[Acl], None]:
    def change(acl: Acl) -> None:
        if role not in acl.policies and len(acl.policies) >= _MOST_POLICIES:
            raise ConflictError(
                f"the container has {len(acl.policies)} stored access policies, and Azure allows "
                f"{_MOST_POLICIES}; remove persistent credentials that are no longer needed",
                bucket=about(place),
            )
        acl.policies[role] = policy

    return change


def _policy(*, read_only: bool) -> Policy:
    from .azure_calls import Policy

    until = datetime.now(UTC) + _ROLE_LIFE
    return Policy(
        permissions=azure.READ if read_only else azure.READ_WRITE,
        until=until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _endpoint_fits(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if parts.username or parts.password or parts.query or parts.fragment:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _access_of(endpoint: str, account: str, key: str) -> Access:
    try:
        from .azure_calls import Access
    except ImportError as cause:
        raise ConfigError(
            "Azure accounts are administered with a package that is not installed; "
            "run: pip install 'neuro-blob-sdk[azure]'"
        ) from cause
    return Access(endpoint=endpoint, account=account, key=key)


def _calls_of(access: Access) -> Calls:
    from .azure_calls import Calls

    return Calls(access)


def _opened(endpoint: str, account: str, key: str) -> Calls:
    return _calls_of(_access_of(endpoint, account, key))
