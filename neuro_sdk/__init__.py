"""Async blob storage: buckets, blobs, whole trees and credentials behind one API.

Open a client with :func:`local` (this machine, nothing to install or log in to) or
:func:`get` (what is configured), then use ``client.buckets``.
"""

from typing import TYPE_CHECKING

from ._aio import AsyncStream, Opening
from ._bucket import BucketHandle, ListingTruncated
from ._buckets import Buckets
from ._client import Client, get, local, serve_store
from ._config import Config
from ._core.config import Profile, TransferConfig
from ._core.models import (
    BlobCommonPrefix,
    BlobObject,
    Bucket,
    BucketCredentials,
    BucketEntry,
    BucketUsage,
    Listing,
    PersistentBucketCredentials,
)
from ._core.plan import Action
from ._core.plans import Plan, PlannedStep
from ._core.query import QueryResult
from ._core.roles import Grant, Role
from ._login import (
    login_with_passed_config,
    login_with_token,
    logout,
    profiles,
    use_profile,
)
from .errors import (
    AuthenticationError,
    AuthError,
    AuthorizationError,
    BlobChanged,
    BlobIsADirectory,
    BlobNotADirectory,
    BlobNotFound,
    BucketNotEmpty,
    BucketNotFound,
    ClientClosed,
    ClientStateError,
    ConfigError,
    ConflictError,
    CreationDisabled,
    DeletionRefused,
    ForkedProcessError,
    IllegalArgumentError,
    InvalidKey,
    InvalidName,
    InvalidURI,
    KeyConflict,
    LocalDiskFull,
    LocalError,
    LocalFileChanged,
    LocalIsADirectory,
    LocalNotADirectory,
    LocalNotFound,
    LocalPermissionDenied,
    NameTaken,
    NDJSONError,
    NeuroError,
    NotSupportedError,
    PlanOutdated,
    PlatformError,
    PlatformTimeout,
    ResourceNotFound,
    ServerNotAvailable,
    StorageError,
    StorageTimeout,
    StorageUnavailable,
    TransferError,
    VerificationFailed,
)
from .progress import (
    AbstractDeleteProgress,
    AbstractFileProgress,
    AbstractRecursiveFileProgress,
    AbstractSkipProgress,
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressSkip,
    StorageProgressStart,
    StorageProgressStep,
)

if TYPE_CHECKING:
    from ._platform.accounts import TokenInfo
    from ._serve import Accounts, accounts, serve

__all__ = [
    "AbstractDeleteProgress",
    "AbstractFileProgress",
    "AbstractRecursiveFileProgress",
    "AbstractSkipProgress",
    "Accounts",
    "Action",
    "AsyncStream",
    "AuthError",
    "AuthenticationError",
    "AuthorizationError",
    "BlobChanged",
    "BlobCommonPrefix",
    "BlobIsADirectory",
    "BlobNotADirectory",
    "BlobNotFound",
    "BlobObject",
    "Bucket",
    "BucketCredentials",
    "BucketEntry",
    "BucketHandle",
    "BucketNotEmpty",
    "BucketNotFound",
    "BucketUsage",
    "Buckets",
    "Client",
    "ClientClosed",
    "ClientStateError",
    "Config",
    "ConfigError",
    "ConflictError",
    "CreationDisabled",
    "DeletionRefused",
    "ForkedProcessError",
    "Grant",
    "IllegalArgumentError",
    "InvalidKey",
    "InvalidName",
    "InvalidURI",
    "KeyConflict",
    "Listing",
    "ListingTruncated",
    "LocalDiskFull",
    "LocalError",
    "LocalFileChanged",
    "LocalIsADirectory",
    "LocalNotADirectory",
    "LocalNotFound",
    "LocalPermissionDenied",
    "NDJSONError",
    "NameTaken",
    "NeuroError",
    "NotSupportedError",
    "Opening",
    "PersistentBucketCredentials",
    "Plan",
    "PlanOutdated",
    "PlannedStep",
    "PlatformError",
    "PlatformTimeout",
    "Profile",
    "QueryResult",
    "ResourceNotFound",
    "Role",
    "ServerNotAvailable",
    "StorageError",
    "StorageProgressComplete",
    "StorageProgressDelete",
    "StorageProgressEnterDir",
    "StorageProgressFail",
    "StorageProgressLeaveDir",
    "StorageProgressSkip",
    "StorageProgressStart",
    "StorageProgressStep",
    "StorageTimeout",
    "StorageUnavailable",
    "TokenInfo",
    "TransferConfig",
    "TransferError",
    "VerificationFailed",
    "accounts",
    "get",
    "local",
    "login_with_passed_config",
    "login_with_token",
    "logout",
    "profiles",
    "serve",
    "serve_store",
    "use_profile",
]

_SERVING = frozenset({"Accounts", "TokenInfo", "accounts", "serve"})


def __getattr__(name: str) -> object:
    # A server stands on large packages, and few who import this run one.
    if name not in _SERVING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _serve

    return getattr(_serve, name)


def __dir__() -> list[str]:
    return __all__
