"""Every error this package raises.

    NeuroError
    ├── ConfigError                        nothing, or something wrong, is configured
    ├── ClientStateError (RuntimeError)    the client cannot be used any more
    │   ├── ClientClosed                   it was closed
    │   └── ForkedProcessError             it, or the native runtime, belongs to the parent process
    ├── IllegalArgumentError (ValueError)  an argument was refused before anything was touched
    │   ├── InvalidURI                     no ``blob:`` or ``file:`` URI that means something
    │   ├── InvalidKey                     a key the store cannot hold faithfully
    │   └── InvalidName                    a bucket or credential name against the rule
    ├── NotSupportedError                  this provider or platform cannot do that
    │   └── CreationDisabled               the platform makes no buckets or credentials now
    ├── ResourceNotFound (ValueError)
    │   ├── BucketNotFound                 also: persistent credentials
    │   └── BlobNotFound (FileNotFoundError)
    ├── ConflictError
    │   ├── NameTaken (FileExistsError)    the name is in use
    │   ├── BucketNotEmpty (OSError)       blobs remain and removal was not forced
    │   ├── DeletionRefused                a synchronisation would remove too much
    │   ├── PlanOutdated                   the source is not what was planned for any more
    │   └── KeyConflict (FileExistsError)  the store cannot hold ``a`` and ``a/b`` at once
    ├── BlobIsADirectory (IsADirectoryError)
    ├── BlobNotADirectory (NotADirectoryError)
    ├── AuthError
    │   ├── AuthenticationError            the credentials are unknown, wrong or expired
    │   └── AuthorizationError (PermissionError)
    ├── StorageError (OSError)             the store failed to do what it was asked
    │   ├── StorageUnavailable (ConnectionError)
    │   ├── StorageTimeout (TimeoutError)
    │   ├── BlobChanged                    the blob was replaced while it was being read
    │   └── VerificationFailed             what was stored is not what was sent
    ├── PlatformError                      a platform over HTTP failed, or its answer makes no sense
    │   ├── ServerNotAvailable (ConnectionError)
    │   ├── PlatformTimeout (TimeoutError)
    │   └── NDJSONError (ValueError)       a stream of its answers told of a failure or broke
    ├── LocalError (OSError)               the file system of this machine said no
    │   ├── LocalNotFound (FileNotFoundError)
    │   ├── LocalIsADirectory (IsADirectoryError)
    │   ├── LocalNotADirectory (NotADirectoryError)
    │   ├── LocalPermissionDenied (PermissionError)
    │   ├── LocalDiskFull                  no space, quota or file-size limit
    │   └── LocalFileChanged               a file changed while it was being uploaded
    └── TransferError                      part of a tree operation failed; ``failures`` names what

The builtin in parentheses is a base class too, so ``except FileNotFoundError`` works.
Messages name the bucket and the key and never hold a secret.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

__all__ = [
    "AuthError",
    "AuthenticationError",
    "AuthorizationError",
    "BlobChanged",
    "BlobIsADirectory",
    "BlobNotADirectory",
    "BlobNotFound",
    "BucketNotEmpty",
    "BucketNotFound",
    "ClientClosed",
    "ClientStateError",
    "ConfigError",
    "ConflictError",
    "CreationDisabled",
    "DeletionRefused",
    "ForkedProcessError",
    "IllegalArgumentError",
    "InvalidKey",
    "InvalidName",
    "InvalidURI",
    "KeyConflict",
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
    "PlanOutdated",
    "PlatformError",
    "PlatformTimeout",
    "ResourceNotFound",
    "ServerNotAvailable",
    "StorageError",
    "StorageTimeout",
    "StorageUnavailable",
    "TransferError",
    "VerificationFailed",
]


class NeuroError(Exception):
    """Base of every error of this package.

    ``message`` is one sentence for people; ``bucket`` and ``key`` say what it is about,
    or are None where that means nothing.
    """

    def __init__(self, message: str, *, bucket: str | None = None, key: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.bucket = bucket
        self.key = key

    def __str__(self) -> str:
        about = []
        if self.bucket is not None:
            about.append(f"bucket {self.bucket!r}")
        if self.key is not None:
            about.append(f"key {self.key!r}")
        return f"{self.message} ({', '.join(about)})" if about else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.__dict__.copy()
        if isinstance(self, OSError):
            state |= {"errno": self.errno, "filename": self.filename}
        return (_rebuild, (type(self), self.args, state))


def _rebuild(cls: type[NeuroError], args: tuple[Any, ...], state: dict[str, Any]) -> NeuroError:
    error = cls(*args)
    for name, value in state.items():
        setattr(error, name, value)
    return error


class ConfigError(NeuroError):
    """Nothing, or something wrong, is configured; the message says what to do next."""


class ClientStateError(NeuroError, RuntimeError):
    """The client cannot be used any more."""


class ClientClosed(ClientStateError):
    """The client was closed; open another."""


class ForkedProcessError(ClientStateError):
    """The native runtime was started by the parent of this process and is gone here.

    Start workers with the ``spawn`` or ``forkserver`` method, or fork before the first use.
    """


class IllegalArgumentError(NeuroError, ValueError):
    """An argument was refused before anything was touched."""


class InvalidURI(IllegalArgumentError):
    """The text is not a URI that means something here."""


class InvalidKey(IllegalArgumentError):
    """The store cannot hold, or the engine cannot address, this key faithfully."""


class InvalidName(IllegalArgumentError):
    """A bucket or credential name does not follow the rule of the platform."""


class NotSupportedError(NeuroError):
    """The provider or the platform cannot do what was asked."""


class CreationDisabled(NotSupportedError):
    """Those who run the platform have switched off the creation of buckets or credentials."""


class ResourceNotFound(NeuroError, ValueError):
    """A bucket, blob or credential does not exist."""


class BucketNotFound(ResourceNotFound):
    """No such bucket, or no such persistent credentials."""


class BlobNotFound(ResourceNotFound, FileNotFoundError):
    """No blob has this key."""


class ConflictError(NeuroError):
    """What is there already does not allow what was asked."""


class NameTaken(ConflictError, FileExistsError):
    """The name is in use in this org and project."""


class BucketNotEmpty(ConflictError, OSError):
    """Blobs remain in the bucket and their removal was not asked for."""


class DeletionRefused(ConflictError):
    """A synchronisation would remove all or more than allowed; nothing was touched."""


class PlanOutdated(ConflictError):
    """The source changed since the plan was made; nothing was touched. Make another plan.

    ``paths`` are all that are not as they were planned, relative to the source.
    """

    def __init__(
        self,
        message: str,
        *,
        paths: Sequence[str] = (),
        bucket: str | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(message, bucket=bucket, key=key)
        self.paths = tuple(paths)


class KeyConflict(ConflictError, FileExistsError):
    """A disk cannot hold the blobs ``a`` and ``a/b`` at once; the one there stays."""


class BlobIsADirectory(NeuroError, IsADirectoryError):
    """The key stands for a directory where a blob is needed."""


class BlobNotADirectory(NeuroError, NotADirectoryError):
    """The key stands for a blob where a directory is needed."""


class AuthError(NeuroError):
    """Who asks is unknown or not allowed."""


class AuthenticationError(AuthError):
    """The credentials are unknown, wrong or expired."""


class AuthorizationError(AuthError, PermissionError):
    """The credentials are good but do not allow this."""


class StorageError(NeuroError, OSError):
    """The store failed to do what it was asked; the cause has its words."""


class StorageUnavailable(StorageError, ConnectionError):
    """The store could not be reached, or says it is overloaded."""


class StorageTimeout(StorageError, TimeoutError):
    """The store did not answer in time."""


class BlobChanged(StorageError):
    """The blob was replaced while it was being read; read it again."""


class VerificationFailed(StorageError):
    """What was stored is not what was sent, as ``verify=True`` found; it is still there."""


class PlatformError(NeuroError):
    """A platform over HTTP failed to do what it was asked, or its answer makes no sense."""


class ServerNotAvailable(PlatformError, ConnectionError):
    """The platform could not be reached, or says that it cannot answer now."""


class PlatformTimeout(PlatformError, TimeoutError):
    """The platform did not answer in time."""


class NDJSONError(PlatformError, ValueError):
    """A stream of answers told of a failure, or broke before its end."""


class LocalError(NeuroError, OSError):
    """The file system of this machine said no; ``filename`` is the path."""


class LocalNotFound(LocalError, FileNotFoundError):
    """No such local file or directory."""


class LocalIsADirectory(LocalError, IsADirectoryError):
    """A local directory stands where a file is needed."""


class LocalNotADirectory(LocalError, NotADirectoryError):
    """A local file stands where a directory is needed."""


class LocalPermissionDenied(LocalError, PermissionError):
    """This user may not read or write the local path."""


class LocalDiskFull(LocalError):
    """No space left, quota exceeded, or the file-size limit of the process reached."""


class LocalFileChanged(LocalError):
    """A local file changed while it was being uploaded; nothing was published."""


_LOCAL_BY_ERRNO: dict[int, type[LocalError]] = {
    errno.ENOENT: LocalNotFound,
    errno.EISDIR: LocalIsADirectory,
    errno.ENOTDIR: LocalNotADirectory,
    errno.EACCES: LocalPermissionDenied,
    errno.EPERM: LocalPermissionDenied,
    errno.EROFS: LocalPermissionDenied,
    errno.ENOSPC: LocalDiskFull,
    errno.EDQUOT: LocalDiskFull,
    errno.EFBIG: LocalDiskFull,
}


def local_error(cause: OSError, path: str | os.PathLike[str]) -> LocalError:
    """The error of this tree for an OSError of the local file system at *path*."""
    if isinstance(cause, LocalError):
        return cause
    kind = _LOCAL_BY_ERRNO.get(cause.errno or 0, LocalError)
    reason = cause.strerror or str(cause) or type(cause).__name__
    error = kind(f"{reason}: {os.fspath(path)!r}")
    error.errno = cause.errno
    error.filename = os.fspath(path)
    return error


class TransferError(NeuroError):
    """Part of a tree operation failed; the rest was done.

    ``failures`` holds up to 1,000 pairs of a path or key and its error; ``failed`` is the
    full count and ``done`` the number of files or blobs that went well.
    """

    def __init__(
        self,
        message: str,
        *,
        failures: Sequence[tuple[str, Exception]] = (),
        failed: int = 0,
        done: int = 0,
        bucket: str | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(message, bucket=bucket, key=key)
        self.failures = tuple(failures)
        self.failed = failed
        self.done = done
