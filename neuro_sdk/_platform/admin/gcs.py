"""Buckets at Google Cloud Storage, in one project and with the key of one service account."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator
from yarl import URL

from ..._core.models import Bucket
from ...errors import BucketNotEmpty, ConfigError, IllegalArgumentError, NotSupportedError
from ..tasks import whole
from . import Place
from .names import about, bucket_name
from .s3_imports import endpoint_fits

if TYPE_CHECKING:
    from .gcs_calls import Access, Calls

__all__ = ["GcsAdmin", "GcsClusterConfig"]

_LONGEST_URL = 7 * 24 * 3600
_ROUNDS = 10


class GcsClusterConfig(BaseModel):
    """The project that a cluster keeps its buckets in, and the key of a service account.

    ``endpoint_url`` None means Google's own. At another one, which is an emulator that lets
    everybody in, the key is needed for signing URLs only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    provider: Literal[Bucket.Provider.GCP]
    project: str
    key_data: SecretStr | None = None
    endpoint_url: str | None = None
    location: str | None = None

    @field_validator("key_data")
    @classmethod
    def _is_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        key = _key(value.get_secret_value())
        if key is None:
            raise ValueError("must be the JSON key of a service account, as it is or in base64")
        return SecretStr(key)

    @field_validator("endpoint_url")
    @classmethod
    def _is_endpoint(cls, value: str | None) -> str | None:
        if value is not None and not endpoint_fits(value):
            raise ValueError("must be http(s)://HOST[:PORT]")
        return value.rstrip("/") if value else None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.endpoint_url is None and self.key_data is None:
            raise ValueError("Google's own store needs key_file or key_data")
        return self


class GcsAdmin:
    """The BucketAdmin of one project; made by ``open``."""

    def __init__(self, config: GcsClusterConfig, calls: Calls) -> None:
        self._config = config
        self._calls = calls

    @classmethod
    async def open(cls, config: GcsClusterConfig) -> GcsAdmin:
        """Make the client; no request is sent."""
        key = None if config.key_data is None else config.key_data.get_secret_value()
        return cls(config, await asyncio.to_thread(_opened, config, key))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._calls.close()

    @whole
    async def create(self, bucket: Bucket) -> str:
        name = bucket_name(bucket)
        await self._calls.create(
            name, location=self._config.location, about=bucket.name or bucket.id
        )
        return name

    @whole
    async def delete(self, place: Place, *, force: bool) -> None:
        # Google never removes a bucket with blobs in it.
        for _ in range(_ROUNDS if force else 0):
            await self._calls.empty(place.name, about=about(place))
            try:
                await self._calls.delete(place.name, about=about(place))
            except BucketNotEmpty:
                continue  # somebody is still writing
            return
        await self._calls.delete(place.name, about=about(place))

    async def purge(self, place: Place) -> None:
        """Do nothing: ``delete`` puts nothing aside here."""

    async def check_import(self, place: Place) -> None:
        given = place.credentials or {}
        endpoint = given.get("endpoint_url")
        if endpoint and not endpoint_fits(endpoint):
            raise IllegalArgumentError(
                "the field 'endpoint_url' of the credentials must be http(s)://HOST[:PORT]"
            )
        if given.get("key_data") and _key(given["key_data"]) is None:
            raise IllegalArgumentError(
                "the field 'key_data' of the credentials must be the JSON key of a service "
                "account, in base64"
            )
        if not any(given.get(name) for name in ("key_data", "access_token", "anonymous")):
            raise IllegalArgumentError(
                "the credentials need the field 'key_data', or 'access_token' with 'expire_time'"
            )

    async def credentials(self, place: Place, *, read_only: bool) -> Mapping[str, str]:
        from .gcs_calls import fields

        opening = {"bucket_name": place.name, **fields(self._calls.access)}
        if self._config.endpoint_url is not None:
            return {**opening, "anonymous": "true"}
        token, ends = await self._calls.token(place.name, read_only=read_only, about=about(place))
        return {**opening, "access_token": token, "expire_time": ends.isoformat()}

    @whole
    async def set_public(self, place: Place, public: bool) -> None:
        async with self._acting_on(place) as calls:
            await calls.set_public(place.name, public, about=about(place))

    async def sign_url(self, place: Place, key: str, expires_in: int) -> URL:
        if type(expires_in) is not int or not 1 <= expires_in <= _LONGEST_URL:
            raise IllegalArgumentError(
                f"expires_in must be a whole number of seconds from 1 to {_LONGEST_URL}"
            )
        async with self._acting_on(place) as calls:
            if calls.access.key is None:
                raise NotSupportedError(
                    "URLs are signed with the key of a service account, and there is none; "
                    "add key_file to the description of the store",
                    bucket=about(place),
                )
            url = await calls.sign_get(place.name, key, expires_in, about=about(place))
        return URL(url, encoded=True)

    async def create_role(
        self,
        role: str,  # noqa: ARG002
        places: Sequence[Place],
        *,
        read_only: bool,  # noqa: ARG002
    ) -> Mapping[str, Mapping[str, str]]:
        raise NotSupportedError(
            "lasting credentials at Google are keys of service accounts, which this version "
            "does not make; import the bucket with a key of your own instead",
            bucket=about(places[0]),
        )

    async def narrow_role(self, role: str, places: Sequence[Place], *, read_only: bool) -> None:
        """Do nothing: there are no roles."""

    async def delete_role(self, role: str, places: Sequence[Place] = ()) -> None:
        """Do nothing: there are no roles."""

    @asynccontextmanager
    async def _acting_on(self, place: Place) -> AsyncIterator[Calls]:
        """Calls with the credentials of an imported bucket, or with our own."""
        if place.credentials is None:
            yield self._calls
            return
        await self.check_import(place)
        key = _key(place.credentials.get("key_data", ""))
        if key is None:
            raise NotSupportedError(
                "this bucket was imported without the key of a service account, and so it can "
                "neither sign URLs nor change who may read; import it with 'key_data'",
                bucket=about(place),
            )
        calls = await asyncio.to_thread(_opened_for, place.credentials, key)
        try:
            yield calls
        finally:
            await calls.close()


def _key(text: str) -> str | None:
    """The JSON of the key of a service account, given as it is or in base64; None for no key."""
    text = text.strip()
    try:
        if not text.startswith("{"):
            text = base64.b64decode(text, validate=True).decode()
        key: Any = json.loads(text)
    except (binascii.Error, ValueError):
        return None
    wanted = ("client_email", "private_key", "token_uri")
    good = isinstance(key, dict) and all(isinstance(key.get(name), str) for name in wanted)
    return text if good else None


def _opened(config: GcsClusterConfig, key: str | None) -> Calls:
    return _calls_of(project=config.project, endpoint_url=config.endpoint_url, key=key)


def _opened_for(given: Mapping[str, str], key: str) -> Calls:
    return _calls_of(
        project=given.get("project"), endpoint_url=given.get("endpoint_url") or None, key=key
    )


def _calls_of(*, project: str | None, endpoint_url: str | None, key: str | None) -> Calls:
    try:
        from .gcs_calls import Access, Calls
    except ImportError as cause:
        raise ConfigError(
            "Google Cloud Storage is administered with a package that is not installed; "
            "run: pip install 'neuro-blob-sdk[gcs]'"
        ) from cause
    access: Access = Access(project=project, endpoint_url=endpoint_url, key=key)
    return Calls(access)
