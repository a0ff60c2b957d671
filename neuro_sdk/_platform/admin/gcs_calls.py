"""Requests to Google Cloud Storage and to the services that give out tokens for it.

Of the platform only this module imports the ``google`` packages. They wait for the network where
they stand, so each call has a thread. Only what is passed in counts: no variable of the
environment, no file of gcloud and no metadata service has a say.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import requests
from google.api_core import exceptions as failures
from google.auth import credentials as anonymous
from google.auth import downscoped
from google.auth import exceptions as auth_failures
from google.auth.transport.requests import AuthorizedSession, Request
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from google.oauth2 import service_account

from ...errors import (
    AuthenticationError,
    AuthorizationError,
    BucketNotEmpty,
    BucketNotFound,
    ConfigError,
    NameTaken,
    NeuroError,
    NotSupportedError,
    StorageError,
    StorageTimeout,
    StorageUnavailable,
)

__all__ = ["FAILURES", "Access", "Calls", "fields", "public_bindings"]

T = TypeVar("T")

GOOGLE = "https://storage.googleapis.com"

# The first row that fits decides.
FAILURES: tuple[tuple[type[Exception], type[NeuroError], str], ...] = (
    (failures.NotFound, BucketNotFound, "the bucket is not there at its provider"),
    (failures.Unauthorized, AuthenticationError, "the store refused the key"),
    (failures.Forbidden, AuthorizationError, "the key does not allow this"),
    (failures.MethodNotImplemented, NotSupportedError, "the store cannot do this"),
    (failures.Conflict, NameTaken, "the store has another one of that name"),
    (failures.TooManyRequests, StorageUnavailable, "the store is overloaded"),
    (failures.RetryError, StorageUnavailable, "the store cannot be reached"),
    (failures.ServerError, StorageUnavailable, "the store failed"),
    (failures.GoogleAPIError, StorageError, "the request failed"),
    (auth_failures.TransportError, StorageUnavailable, "Google cannot be reached for a token"),
    (auth_failures.RefreshError, AuthenticationError, "Google gave no token for the key"),
    (auth_failures.GoogleAuthError, AuthenticationError, "the key cannot be used"),
    (requests.Timeout, StorageTimeout, "the store did not answer in time"),
    (TimeoutError, StorageTimeout, "the store did not answer in time"),
    (requests.RequestException, StorageUnavailable, "the store cannot be reached"),
)

_TIMEOUT = (10, 30)
_RETRY = DEFAULT_RETRY.with_timeout(30)
_CALL_SECONDS = 300
_PAGE = 1000
_AT_ONCE = 8
_SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"
_EVERYBODY = "allUsers"
_READER, _WRITER = "roles/storage.objectViewer", "roles/storage.objectAdmin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A project and the JSON key of a service account; no key where a store wants none.

    ``endpoint_url`` None means Google's own. Elsewhere the key only signs URLs.
    """

    project: str | None
    endpoint_url: str | None
    key: str | None = field(default=None, repr=False)


class Calls:
    """A client of one project; it is made in a thread."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._signer: Any = None
        if access.key is not None:
            try:
                self._signer = service_account.Credentials.from_service_account_info(
                    json.loads(access.key), scopes=[_SCOPE]
                )
            except ValueError:
                raise ConfigError("the key of the service account cannot be read") from None
        # An emulator knows no accounts, and Google no tokens for it.
        known = self._signer is not None and access.endpoint_url is None
        self._credentials = self._signer if known else anonymous.AnonymousCredentials()
        session = AuthorizedSession(self._credentials)
        session.trust_env = False
        self._session = session
        self._client = storage.Client(
            project=access.project or "",
            credentials=self._credentials,
            _http=session,
            client_options={"api_endpoint": access.endpoint_url or GOOGLE},
        )

    async def create(self, bucket: str, *, location: str | None, about: str) -> None:
        """Make a bucket whose rights are those of policies alone."""

        def create() -> None:
            made = self._client.bucket(bucket)
            made.iam_configuration.uniform_bucket_level_access_enabled = True
            try:
                self._client.create_bucket(made, location=location, timeout=_TIMEOUT, retry=_RETRY)
            except failures.Conflict:
                # Nobody else uses such a name, so a bucket of ours is one that a lost answer made.
                self._client.get_bucket(bucket, timeout=_TIMEOUT, retry=_RETRY)

        await self._run("creating a bucket", about, create)

    async def delete(self, bucket: str, *, about: str) -> None:
        """Remove a bucket unless there are blobs in it; a missing one counts as removed."""

        def delete() -> None:
            try:
                self._client.bucket(bucket).delete(timeout=_TIMEOUT, retry=_RETRY)
            except failures.NotFound:
                return
            except (failures.Conflict, failures.PreconditionFailed):
                raise BucketNotEmpty("blobs remain in the bucket", bucket=about) from None

        await self._run("removing a bucket", about, delete)

    async def empty(self, bucket: str, *, about: str) -> None:
        """Remove all blobs; there may be no such bucket."""

        def empty_page() -> bool:
            try:
                found = self._client.list_blobs(
                    bucket, max_results=_PAGE, timeout=_TIMEOUT, retry=_RETRY
                )
                names = [blob.name for blob in found]
            except failures.NotFound:
                return False
            self._delete_blobs(bucket, names)
            return bool(names)

        while await self._run("emptying a bucket", about, empty_page):
            continue  # each page has a time limit of its own

    def _delete_blobs(self, bucket: str, names: list[str]) -> None:
        owner = self._client.bucket(bucket)

        def delete(name: str) -> None:
            with suppress(failures.NotFound):
                owner.blob(name).delete(timeout=_TIMEOUT, retry=_RETRY)

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for done in [threads.submit(delete, name) for name in names]:
                done.result()

    async def set_public(self, bucket: str, public: bool, *, about: str) -> None:
        """Let anybody list and read, or stop it; what others allowed stays."""

        def change() -> None:
            owner = self._client.bucket(bucket)
            if public:
                owner.iam_configuration.public_access_prevention = "inherited"
                owner.patch(timeout=_TIMEOUT, retry=_RETRY)
            policy = owner.get_iam_policy(
                requested_policy_version=3, timeout=_TIMEOUT, retry=_RETRY
            )
            policy.bindings = public_bindings(policy.bindings, public=public)
            # It is refused if another change came in between.
            owner.set_iam_policy(policy, timeout=_TIMEOUT, retry=_RETRY)

        try:
            await self._run("changing who may read", about, change)
        except BucketNotFound:
            if self.access.endpoint_url is None:
                raise
            raise NotSupportedError(
                "this store does not know policies of buckets, as Google does, so that who may "
                "read cannot be changed",
                bucket=about,
            ) from None

    async def token(self, bucket: str, *, read_only: bool, about: str) -> tuple[str, datetime]:
        """A token that opens this bucket alone, and when it ends."""

        def token() -> tuple[str, datetime]:
            rule = downscoped.AccessBoundaryRule(
                available_resource=f"//storage.googleapis.com/projects/_/buckets/{bucket}",
                available_permissions=[f"inRole:{_READER if read_only else _WRITER}"],
            )
            scoped = downscoped.Credentials(
                self._credentials,
                downscoped.CredentialAccessBoundary(rules=[rule]),
            )
            scoped.refresh(Request(self._session_for_tokens()))
            ends = scoped.expiry or datetime.now(UTC) + timedelta(minutes=15)
            return str(scoped.token), ends.replace(tzinfo=UTC)

        return await self._run("asking for a token", about, token)

    def _session_for_tokens(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        return session

    async def sign_get(self, bucket: str, key: str, expires_in: int, *, about: str) -> str:
        """A URL that gets the blob; no request is sent."""

        def sign() -> str:
            return str(
                self._client.bucket(bucket)
                .blob(key)
                .generate_signed_url(
                    version="v4",
                    expiration=timedelta(seconds=expires_in),
                    method="GET",
                    credentials=self._signer,
                    api_access_endpoint=self.access.endpoint_url or GOOGLE,
                )
            )

        return await self._run("signing a URL", about, sign)

    async def close(self) -> None:
        """Let go of the connections."""
        await asyncio.to_thread(self._session.close)

    async def _run(self, what: str, about: str, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                return await asyncio.to_thread(work)
        except tuple(row[0] for row in FAILURES) as cause:
            kind, text = next(row[1:] for row in FAILURES if isinstance(cause, row[0]))
            code = getattr(cause, "code", None)
            said = f" (status {int(code)})" if isinstance(code, int) else ""
            raise kind(f"{what}: {text}{said}", bucket=about) from cause


def public_bindings(found: Iterable[Mapping[str, Any]], *, public: bool) -> list[Mapping[str, Any]]:
    """The bindings of a policy with everybody among the readers, or without; others stay."""
    kept: list[Mapping[str, Any]] = []
    for binding in found:
        members = set(binding["members"])
        if binding["role"] == _READER and not binding.get("condition"):
            members -= {_EVERYBODY}
        if members:
            kept.append({**binding, "members": members})
    if public:
        kept.append({"role": _READER, "members": {_EVERYBODY}})
    return kept


def fields(access: Access) -> Mapping[str, str]:
    """What credentials say of the store."""
    told = {"project": access.project, "endpoint_url": access.endpoint_url}
    return {name: value for name, value in told.items() if value}
