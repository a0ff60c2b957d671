"""Requests to S3, IAM and STS, and nothing else of ours imports aiobotocore.

Only what is passed in counts: no profile file, no environment variable of AWS and no metadata
service is asked for credentials, endpoints or regions.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NoReturn

import aiohttp
import botocore.exceptions as failures
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.configprovider import (
    BOTOCORE_DEFAUT_SESSION_VARIABLES,
    ConfigValueStore,
    ConstantProvider,
)
from botocore.loaders import Loader

from ...errors import (
    AuthenticationError,
    AuthorizationError,
    BucketNotEmpty,
    BucketNotFound,
    NameTaken,
    NeuroError,
    NotSupportedError,
    ResourceNotFound,
    StorageError,
    StorageTimeout,
    StorageUnavailable,
)

__all__ = ["CODES", "FAILURES", "SERVICES", "Access", "Calls"]

CODES: Mapping[type[NeuroError], frozenset[str]] = {
    AuthenticationError: frozenset(
        {
            "401",
            "AuthFailure",
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidToken",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "TokenRefreshRequired",
            "UnrecognizedClientException",
        }
    ),
    AuthorizationError: frozenset(
        {"403", "AccessDenied", "AccessDeniedException", "AllAccessDisabled", "Forbidden"}
    ),
    BucketNotEmpty: frozenset({"BucketNotEmpty"}),
    BucketNotFound: frozenset({"404", "NoSuchBucket"}),
    NameTaken: frozenset(
        {
            "BucketAlreadyExists",
            "BucketAlreadyOwnedByYou",
            "EntityAlreadyExists",
            "EntityAlreadyExistsException",
        }
    ),
    NotSupportedError: frozenset({"501", "MethodNotAllowed", "NotImplemented"}),
    ResourceNotFound: frozenset(
        {"NoSuchBucketPolicy", "NoSuchEntity", "NoSuchEntityException", "NoSuchUpload"}
    ),
    StorageTimeout: frozenset({"RequestTimeout", "RequestTimeoutException"}),
    StorageUnavailable: frozenset(
        {
            "429",
            "500",
            "502",
            "503",
            "504",
            "InternalError",
            "RequestLimitExceeded",
            "ServiceUnavailable",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
        }
    ),
}
"""What each code of a store means; any other is a StorageError."""

# The first row that fits decides.
FAILURES: tuple[tuple[type[Exception], type[NeuroError], str], ...] = (
    (failures.ConnectTimeoutError, StorageTimeout, "the store did not answer in time"),
    (failures.ReadTimeoutError, StorageTimeout, "the store did not answer in time"),
    (TimeoutError, StorageTimeout, "the store did not answer in time"),
    (failures.ConnectionError, StorageUnavailable, "the store cannot be reached"),
    (failures.HTTPClientError, StorageUnavailable, "the store broke off"),
    (aiohttp.ClientError, StorageUnavailable, "the store broke off"),
    (OSError, StorageUnavailable, "the store cannot be reached"),
    (failures.BotoCoreError, StorageError, "the request failed"),
)

_CONNECT_SECONDS = 10
_READ_SECONDS = 30
_CALL_SECONDS = 120
_ATTEMPTS = 3
SERVICES = ("s3", "iam", "sts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where a store is and the keys to it; ``endpoint_url`` None means Amazon's own."""

    endpoint_url: str | None
    region_name: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class Calls:
    """Clients of S3, IAM and STS for one pair of keys; made by ``open``."""

    def __init__(self, session: AioSession, access: Access) -> None:
        self.access = access
        self._stack = AsyncExitStack()
        self._clients: dict[str, Any] = {}
        self._session = session
        self._secrets = tuple(filter(None, (access.secret_access_key, access.session_token)))

    @classmethod
    async def open(
        cls, access: Access, *, services: Collection[str] = SERVICES, attempts: int = _ATTEMPTS
    ) -> Calls:
        """Make clients of these services; no request is sent."""
        return await cls(await asyncio.to_thread(_session), access)._opened(services, attempts)

    async def sibling(self, access: Access, *, services: Collection[str] = SERVICES) -> Calls:
        """Another one for other keys or another endpoint, to be closed on its own."""
        return await Calls(self._session, access)._opened(services, _ATTEMPTS)

    async def _opened(self, services: Collection[str], attempts: int) -> Calls:
        access = self.access
        try:
            with self._errors("opening a client", None):
                for service in services:
                    client = self._session.create_client(
                        service,
                        config=_config(service, access.endpoint_url, attempts),
                        region_name=access.region_name,
                        endpoint_url=access.endpoint_url,
                        aws_access_key_id=access.access_key_id,
                        aws_secret_access_key=access.secret_access_key,
                        aws_session_token=access.session_token,
                    )
                    self._clients[service] = await self._stack.enter_async_context(client)
        except BaseException:
            await self.close()
            raise
        return self

    @property
    def endpoint_url(self) -> str:
        """Where S3 requests go."""
        return str(self._clients["s3"].meta.endpoint_url)

    async def s3(
        self,
        operation: str,
        *,
        about: str | None = None,
        tolerate: Collection[str] = (),
        **parameters: Any,
    ) -> dict[str, Any] | None:
        """The answer of S3; None where it refused with one of the codes in *tolerate*.

        *about* is the bucket that errors name.
        """
        return await self._call("s3", operation, about, tolerate, parameters)

    async def iam(
        self, operation: str, *, tolerate: Collection[str] = (), **parameters: Any
    ) -> dict[str, Any] | None:
        """The answer of IAM, as ``s3`` gives it."""
        return await self._call("iam", operation, None, tolerate, parameters)

    async def sts(
        self, operation: str, *, about: str | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """The answer of STS."""
        return await self._call("sts", operation, about, (), parameters) or {}

    async def presign_get(self, bucket: str, key: str, expires_in: int, *, about: str) -> str:
        """A URL that gets the blob with SigV4 in its query; no request is sent."""
        with self._errors("presigning", about):
            url = await self._clients["s3"].generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=expires_in
            )
        return str(url)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._stack.aclose()

    async def _call(
        self,
        service: str,
        operation: str,
        about: str | None,
        tolerate: Collection[str],
        parameters: Mapping[str, Any],
    ) -> dict[str, Any] | None:
        with self._errors(operation.replace("_", " "), about):
            try:
                # Its own time limits count single reads, which a slow peer can stretch at will.
                async with asyncio.timeout(_CALL_SECONDS):
                    answer: dict[str, Any] = await getattr(self._clients[service], operation)(
                        **parameters
                    )
            except failures.ClientError as cause:
                if _code(cause) in tolerate:
                    return None
                raise
        return answer

    @contextmanager
    def _errors(self, what: str, about: str | None) -> Iterator[None]:
        try:
            yield
        except failures.ClientError as cause:
            code = _code(cause)
            kind = next((ours for ours, codes in CODES.items() if code in codes), StorageError)
            said = cause.response.get("Error", cause.response).get("Message") or "no more"
            self._fail(kind, f"{what}: the store said {code}: {said}", about, cause)
        except tuple(row[0] for row in FAILURES) as cause:
            kind, text = next(row[1:] for row in FAILURES if isinstance(cause, row[0]))
            self._fail(kind, f"{what}: {text}: {cause or type(cause).__name__}", about, cause)

    def _fail(
        self, kind: type[NeuroError], text: str, about: str | None, cause: Exception
    ) -> NoReturn:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        raise kind(text, bucket=about) from cause


def _code(cause: failures.ClientError) -> str:
    # SeaweedFS answers IAM and STS requests in the words of S3, which the parser of those does
    # not take for an error document.
    error = cause.response.get("Error") or cause.response
    status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return str(error.get("Code") or status)


@cache
def _session() -> AioSession:
    """A session that knows no keys and nothing of this machine; it takes its time on the disk."""
    session = AioSession()
    constants: dict[str, Any] = {
        name: ConstantProvider(default)
        for name, (_, _, default, _) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    constants["config_file"] = constants["credentials_file"] = ConstantProvider(os.devnull)
    constants["s3"] = constants["proxies_config"] = ConstantProvider(None)
    session.register_component("config_store", ConfigValueStore(mapping=constants))
    loader = Loader(
        extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False
    )
    session.register_component("data_loader", loader)
    # That never waits for anything but the disk, so it comes to its end without an event loop.
    with suppress(StopIteration):
        _read_models(session).send(None)
    return session


async def _read_models(session: AioSession) -> None:
    """Make clients for nothing: the session keeps what that reads from the disk."""
    for service in SERVICES:
        async with session.create_client(
            service,
            config=_config(service, None, 1),
            region_name="us-east-1",
            aws_access_key_id="-",
            aws_secret_access_key="-",  # noqa: S106
        ):
            continue


def _config(service: str, endpoint_url: str | None, tries: int) -> AioConfig:
    return AioConfig(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": tries},
        signature_version="s3v4" if service == "s3" else "v4",
        ignore_configured_endpoint_urls=True,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": "path" if endpoint_url else "virtual",
            "us_east_1_regional_endpoint": "regional",
        },
    )
