"""Buckets at Amazon S3, MinIO and SeaweedFS, by S3, IAM and STS."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator
from yarl import URL

from ..._core.models import Bucket
from ...errors import NeuroError, NotSupportedError
from ..tasks import whole
from . import Place, s3_imports, s3_policies, s3_removal, s3_seaweedfs, s3_sharing
from .names import about, bucket_name
from .s3_lazy import open_calls

if TYPE_CHECKING:
    from .s3_calls import Calls

__all__ = ["S3Admin", "S3ClusterConfig"]

_AWS, _MINIO, _SEAWEEDFS = Bucket.Provider.AWS, Bucket.Provider.MINIO, Bucket.Provider.SEAWEEDFS
_LIFE = 3600
_MINIO_ROLE = "arn:aws:iam::000000000000:role/neuro"  # has to be there and means nothing
_BOUNDARY = "arn:aws:iam::aws:policy/AmazonS3FullAccess"


class S3ClusterConfig(BaseModel):
    """Where a cluster keeps its buckets and what the platform signs its requests with.

    ``public_endpoint_url`` is where those who use the buckets find the store, if they see it
    elsewhere than the platform does. ``endpoint_url`` None means Amazon's own. ``role_arn`` is
    the role at Amazon whose rights temporary credentials are cut from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    provider: Literal[Bucket.Provider.AWS, Bucket.Provider.MINIO, Bucket.Provider.SEAWEEDFS]
    endpoint_url: str | None = None
    public_endpoint_url: str | None = None
    region_name: str = s3_imports.REGION
    access_key_id: str
    secret_access_key: SecretStr
    role_arn: str | None = None

    @field_validator("endpoint_url", "public_endpoint_url")
    @classmethod
    def _is_endpoint(cls, value: str | None) -> str | None:
        if value is not None and not s3_imports.endpoint_fits(value):
            raise ValueError("must be http(s)://HOST[:PORT]")
        return value.rstrip("/") if value else None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.provider is _AWS and not self.role_arn:
            raise ValueError("the provider 'aws' needs role_arn")
        if self.provider is not _AWS and not self.endpoint_url:
            raise ValueError(f"the provider {self.provider.value!r} needs endpoint_url")
        return self


class S3Admin:
    """The BucketAdmin of one S3 store; made by ``open``."""

    def __init__(self, config: S3ClusterConfig, calls: Calls, signer: Calls) -> None:
        self._config = config
        self._calls = calls
        self._signer = signer

    @classmethod
    async def open(cls, config: S3ClusterConfig) -> S3Admin:
        """Make the clients; at SeaweedFS also see to it that credentials can be given out."""
        calls = await open_calls(
            endpoint_url=config.endpoint_url,
            region_name=config.region_name,
            access_key_id=config.access_key_id,
            secret_access_key=config.secret_access_key.get_secret_value(),
        )
        admin = cls(config, calls, calls)
        try:
            if config.public_endpoint_url is not None:
                access = replace(calls.access, endpoint_url=config.public_endpoint_url)
                admin._signer = await calls.sibling(access, services=("s3",))
            if config.provider is _SEAWEEDFS:
                await s3_seaweedfs.enable_tokens(calls)
        except BaseException:
            await admin.close()
            raise
        return admin

    async def close(self) -> None:
        """Let go of the connections."""
        try:
            await self._calls.close()
        finally:
            if self._signer is not self._calls:
                await self._signer.close()

    @whole
    async def create(self, bucket: Bucket) -> str:
        name, label = bucket_name(bucket), bucket.name or bucket.id
        options: dict[str, Any] = {}
        if self._config.provider is _AWS and self._config.region_name != s3_imports.REGION:
            options["CreateBucketConfiguration"] = {"LocationConstraint": self._config.region_name}
        # Nobody else makes this name, so that a bucket of ours is one that a lost answer made.
        await self._calls.s3(
            "create_bucket",
            about=label,
            tolerate=("BucketAlreadyOwnedByYou",),
            Bucket=name,
            **options,
        )
        try:
            await self._set_up(name, label)
        except BaseException:
            with suppress(NeuroError):  # the first error counts
                await self._calls.s3("delete_bucket", Bucket=name)
            raise
        return name

    @whole
    async def delete(self, place: Place, *, force: bool) -> None:
        refuses = self._config.provider is not _SEAWEEDFS
        await s3_removal.delete_bucket(self._calls, place, force=force, store_refuses=refuses)

    async def purge(self, place: Place) -> None:
        """Do nothing: ``delete`` puts nothing aside here."""

    async def credentials(self, place: Place, *, read_only: bool) -> Mapping[str, str]:
        policy = s3_policies.access_policy([place.name], read_only=read_only)
        label, tail = about(place), secrets.token_hex(3)
        if self._config.provider is _SEAWEEDFS:
            answer = await self._calls.sts(
                "get_federation_token",
                about=label,
                Name=place.name[:26] + tail,
                Policy=policy,
                DurationSeconds=_LIFE,
            )
        else:
            answer = await self._calls.sts(
                "assume_role",
                about=label,
                RoleArn=self._config.role_arn or _MINIO_ROLE,
                RoleSessionName=f"{place.name[:57]}-{tail}",
                Policy=policy,
                DurationSeconds=_LIFE,
            )
        given = answer["Credentials"]
        return {
            **self._opened(place, given["AccessKeyId"], given["SecretAccessKey"]),
            "session_token": given["SessionToken"],
            "expiration": given["Expiration"].astimezone(UTC).isoformat(),
        }

    @whole
    async def set_public(self, place: Place, public: bool) -> None:
        # Amazon blocks such policies on each new bucket.
        guarded = self._config.provider is _AWS
        await s3_sharing.set_public(self._calls, place, public, guarded=guarded)

    async def sign_url(self, place: Place, key: str, expires_in: int) -> URL:
        return await s3_sharing.sign_url(self._signer, place, key, expires_in)

    @whole
    async def create_role(
        self, role: str, places: Sequence[Place], *, read_only: bool
    ) -> Mapping[str, Mapping[str, str]]:
        self._check_roles()
        boundary = {"PermissionsBoundary": _BOUNDARY} if self._config.provider is _AWS else {}
        # The name is used once, so that a user of that name is one that a lost answer made.
        await self._calls.iam(
            "create_user", tolerate=("EntityAlreadyExists",), UserName=role, **boundary
        )
        try:
            await self.narrow_role(role, places, read_only=read_only)
            answer = await self._calls.iam("create_access_key", UserName=role) or {}
        except BaseException:
            with suppress(NeuroError):  # the first error counts
                await self.delete_role(role)
            raise
        key = answer["AccessKey"]
        return {
            place.bucket.id: self._opened(place, key["AccessKeyId"], key["SecretAccessKey"])
            for place in places
        }

    @whole
    async def narrow_role(self, role: str, places: Sequence[Place], *, read_only: bool) -> None:
        self._check_roles()
        await self._calls.iam(
            "put_user_policy",
            UserName=role,
            PolicyName=f"{role}-s3-policy",
            PolicyDocument=s3_policies.access_policy(
                [place.name for place in places],
                read_only=read_only,
                list_anything=self._config.provider is _SEAWEEDFS,
            ),
        )

    @whole
    async def delete_role(self, role: str, places: Sequence[Place] = ()) -> None:  # noqa: ARG002
        if self._config.provider is _MINIO:
            return  # there is none
        gone = ("NoSuchEntity",)
        keys = await self._calls.iam("list_access_keys", tolerate=gone, UserName=role) or {}
        for key in keys.get("AccessKeyMetadata", ()):
            await self._calls.iam(
                "delete_access_key", tolerate=gone, UserName=role, AccessKeyId=key["AccessKeyId"]
            )
        policies = await self._calls.iam("list_user_policies", tolerate=gone, UserName=role) or {}
        for policy in policies.get("PolicyNames", ()):
            await self._calls.iam(
                "delete_user_policy", tolerate=gone, UserName=role, PolicyName=policy
            )
        await self._calls.iam("delete_user", tolerate=gone, UserName=role)

    def _check_roles(self) -> None:
        if self._config.provider is _MINIO:
            raise NotSupportedError(
                "MinIO makes users by its own administration protocol, not by IAM; "
                "persistent credentials are not supported there"
            )

    def _opened(self, place: Place, access_key: str, secret_key: str) -> dict[str, str]:
        return {
            "bucket_name": place.name,
            "region_name": self._config.region_name,
            "endpoint_url": self._signer.endpoint_url,
            "access_key_id": access_key,
            "secret_access_key": secret_key,
        }

    async def _set_up(self, name: str, label: str) -> None:
        # MinIO knows neither: any origin may read there, and it aborts old uploads by itself.
        may_lack = ("NotImplemented",) if self._config.provider is _MINIO else ()
        await self._calls.s3(
            "put_bucket_cors",
            about=label,
            tolerate=may_lack,
            Bucket=name,
            CORSConfiguration=s3_policies.CORS,
        )
        if self._config.provider is not _MINIO:
            await self._calls.s3(
                "put_bucket_lifecycle_configuration",
                about=label,
                Bucket=name,
                LifecycleConfiguration=s3_policies.LIFECYCLE,
            )
