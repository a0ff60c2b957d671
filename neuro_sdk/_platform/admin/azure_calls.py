"""Requests to the containers of an Azure storage account.

Nothing else of ours imports the ``azure`` packages. Only what is passed in counts: no variable
of the environment and no metadata service has a say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from azure.core import exceptions as failures
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import AccessPolicy, ContainerSasPermissions
from azure.storage.blob.aio import BlobServiceClient, ContainerClient, ExponentialRetry

from ...errors import (
    AuthenticationError,
    AuthorizationError,
    BucketNotFound,
    ConflictError,
    NameTaken,
    NeuroError,
    NotSupportedError,
    StorageError,
    StorageTimeout,
    StorageUnavailable,
)

__all__ = ["CODES", "FAILURES", "Access", "Acl", "Calls", "Policy"]

T = TypeVar("T")

CODES: Mapping[type[NeuroError], frozenset[str]] = {
    AuthenticationError: frozenset(
        {"AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"}
    ),
    AuthorizationError: frozenset(
        {
            "AccountIsDisabled",
            "AuthorizationFailure",
            "AuthorizationPermissionMismatch",
            "InsufficientAccountPermissions",
        }
    ),
    BucketNotFound: frozenset({"ContainerBeingDeleted", "ContainerNotFound"}),
    ConflictError: frozenset({"LeaseAlreadyPresent", "LeaseIdMissing", "LeaseLost"}),
    NameTaken: frozenset({"ContainerAlreadyExists"}),
    NotSupportedError: frozenset({"FeatureNotSupportedByAccount", "PublicAccessNotPermitted"}),
    StorageTimeout: frozenset({"OperationTimedOut"}),
    StorageUnavailable: frozenset({"InternalError", "ServerBusy"}),
}
"""What each code of the service means; any other is a StorageError."""

# The first row that fits decides; what the service answered is judged by its code before.
FAILURES: tuple[tuple[type[Exception], type[NeuroError], str], ...] = (
    (failures.ServiceRequestTimeoutError, StorageTimeout, "the store did not answer in time"),
    (failures.ServiceResponseTimeoutError, StorageTimeout, "the store did not answer in time"),
    (TimeoutError, StorageTimeout, "the store did not answer in time"),
    (failures.ServiceRequestError, StorageUnavailable, "the store cannot be reached"),
    (failures.ServiceResponseError, StorageUnavailable, "the store broke off"),
    (failures.AzureError, StorageError, "the request failed"),
)

_CONNECT_SECONDS = 10
_READ_SECONDS = 30
_CALL_SECONDS = 120
_LEASE_SECONDS = 15
_LEASE_PAUSE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """An account and a key of it."""

    endpoint: str
    account: str
    key: str = field(repr=False)

    @property
    def https(self) -> bool:
        """True where no other protocol is to be used."""
        return self.endpoint.startswith("https:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A stored access policy: what its holders may do, and until when, as ISO 8601 text."""

    permissions: str
    until: str


@dataclass(slots=True, kw_only=True)
class Acl:
    """Who may use a container without the key: stored policies by id, and everybody if public."""

    policies: dict[str, Policy]
    public: bool


class Calls:
    """A client of one account."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._client = BlobServiceClient(
            access.endpoint,
            credential={"account_name": access.account, "account_key": access.key},
            connection_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            use_env_settings=False,
            retry_policy=ExponentialRetry(
                initial_backoff=0, increment_base=2, retry_total=3, random_jitter_range=1
            ),
        )

    async def create(self, container: str, *, about: str) -> None:
        """Make a container; one of that name counts as made, for nobody else uses such a name."""
        await self._call(
            "creating a container",
            about,
            lambda: self._of(container).create_container(),
            tolerate=("ContainerAlreadyExists",),
        )

    async def delete(self, container: str, *, about: str) -> None:
        """Remove a container with all that is in it; a missing one counts as removed."""
        await self._call(
            "removing a container",
            about,
            lambda: self._of(container).delete_container(),
            tolerate=("ContainerNotFound", "ContainerBeingDeleted"),
        )

    async def is_empty(self, container: str, *, about: str) -> bool:
        """True if there is no blob, and if there is no container."""

        async def look() -> bool:
            async for _ in self._of(container).list_blob_names(results_per_page=1):
                return False
            return True

        found = await self._call(
            "listing a container",
            about,
            look,
            tolerate=("ContainerNotFound", "ContainerBeingDeleted"),
        )
        return found is not False

    async def change_acl(
        self, container: str, change: Callable[[Acl], None], *, about: str
    ) -> None:
        """Have *change* make another ACL of the one that is there; nobody else does meanwhile."""
        client = self._of(container)
        async with self._leased(client, about) as lease:
            told = await self._call(
                "reading an ACL", about, lambda: client.get_container_access_policy(lease=lease)
            )
            acl = _acl(told or {})
            change(acl)
            await self._call(
                "setting an ACL",
                about,
                lambda: client.set_container_access_policy(
                    signed_identifiers={
                        name: AccessPolicy(
                            permission=ContainerSasPermissions.from_string(policy.permissions),
                            expiry=policy.until,
                        )
                        for name, policy in acl.policies.items()
                    },
                    public_access="container" if acl.public else None,
                    lease=lease,
                ),
            )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    def _of(self, container: str) -> ContainerClient:
        return self._client.get_container_client(container)

    @asynccontextmanager
    async def _leased(self, client: ContainerClient, about: str) -> AsyncIterator[Any]:
        """Hold the lease of the container; the one of a process that died ends by itself."""
        deadline = asyncio.get_running_loop().time() + 3 * _LEASE_SECONDS
        while True:
            lease = await self._call(
                "leasing a container",
                about,
                lambda: client.acquire_lease(lease_duration=_LEASE_SECONDS),
                tolerate=("LeaseAlreadyPresent",),
            )
            if lease is not None:
                break
            if asyncio.get_running_loop().time() > deadline:
                raise ConflictError(
                    "another program holds the lease of the container", bucket=about
                )
            await asyncio.sleep(_LEASE_PAUSE)
        try:
            yield lease
        finally:
            await self._call(
                "releasing a container",
                about,
                lease.release,
                tolerate=("ContainerNotFound", "LeaseIdMismatchWithLeaseOperation"),
            )

    async def _call(
        self,
        what: str,
        about: str,
        operation: Callable[[], Awaitable[T]],
        *,
        tolerate: tuple[str, ...] = (),
    ) -> T | None:
        with self._errors(what, about):
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    return await operation()
            except HttpResponseError as cause:
                if _code(cause) in tolerate:
                    return None
                raise

    @contextmanager
    def _errors(self, what: str, about: str) -> Iterator[None]:
        try:
            yield
        except HttpResponseError as cause:
            code = _code(cause)
            kind = next((ours for ours, codes in CODES.items() if code in codes), None)
            if kind is None:
                busy = (cause.status_code or 0) in (429, 500, 502, 503, 504)
                kind = StorageUnavailable if busy else StorageError
            reason = f"{what}: the store said {code}"
            if code == "PublicAccessNotPermitted":
                reason += "; allow anonymous access in the settings of the storage account"
            self._fail(kind, reason, about, cause)
        except tuple(row[0] for row in FAILURES) as cause:
            kind, text = next(row[1:] for row in FAILURES if isinstance(cause, row[0]))
            self._fail(kind, f"{what}: {text}: {type(cause).__name__}", about, cause)

    def _fail(self, kind: type[NeuroError], text: str, about: str, cause: Exception) -> NoReturn:
        raise kind(text.replace(self.access.key, "***"), bucket=about) from cause


def _code(cause: HttpResponseError) -> str:
    code = getattr(cause, "error_code", None)
    code = getattr(code, "value", code)  # an enumeration where the package knows it
    return str(code or f"status {cause.status_code}")


def _acl(told: Mapping[str, Any]) -> Acl:
    policies = {}
    for identifier in told.get("signed_identifiers") or ():
        policy = identifier.access_policy
        until = policy.expiry if policy is not None else None
        policies[identifier.id] = Policy(
            permissions=str((policy and policy.permission) or ""),
            until=until if isinstance(until, str) else until.isoformat() if until else "",
        )
    return Acl(policies=policies, public=bool(told.get("public_access")))
