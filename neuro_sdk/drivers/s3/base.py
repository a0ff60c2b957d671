"""``BaseS3Driver``: the few operations by which any S3 client can be tried and compared."""

from __future__ import annotations

import functools
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

from ...errors import ConfigError

__all__ = ["BaseS3Driver", "answers"]

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F")
D = TypeVar("D", bound="BaseS3Driver")

_log = logging.getLogger("neuro_sdk.drivers.s3")


class BaseS3Driver(ABC):
    """One bucket at an S3 endpoint, through one client.

    *config* has the fields ``endpoint``, ``access_key``, ``secret_key``, ``bucket``, ``region``
    (default ``us-east-1``) and ``driver_config``, a dictionary of the driver's own settings.
    Other fields are left alone. The constructor raises ConfigError for a field that is wrong.

    An operation never raises: one that fails logs its key and the reason, to the logger
    ``neuro_sdk.drivers.s3``, and gives back False, None or an empty list. :func:`answers` does
    that for drivers of your own. A driver is made anew in each process, and closed.
    """

    thread_safe: ClassVar[bool] = False
    """True where many threads may use one driver at once."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        if not isinstance(config, Mapping):
            raise ConfigError(f"the configuration is a dictionary, not {type(config).__name__}")
        self.config = config
        self.endpoint = self._text("endpoint").rstrip("/")
        self.access_key = self._text("access_key")
        self.secret_key = self._text("secret_key")
        self.bucket = self._text("bucket")
        self.region = self._text("region") or "us-east-1"
        settings = config.get("driver_config") or {}
        if not isinstance(settings, Mapping):
            raise ConfigError("the field 'driver_config' must be a dictionary")
        self.driver_config: Mapping[str, Any] = settings

    def _text(self, name: str) -> str:
        value = self.config.get(name)
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"the field {name!r} must be text, not {type(value).__name__}")
        return value or ""

    def need(self, *names: str) -> None:
        """Raise ConfigError unless these fields are given."""
        for name in names:
            if not self._text(name):
                raise ConfigError(f"the configuration of a {type(self).__name__} lacks {name!r}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.bucket!r} at {self.endpoint!r}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"a {type(self).__name__} holds secrets; make one in each process")

    @abstractmethod
    def upload(self, key: str, data: bytes, metadata: dict[str, str] | None = None) -> bool:
        """Make or replace the object *key*, with names and values beside it; True if done."""

    @abstractmethod
    def download(self, key: str) -> bytes | None:
        """The bytes of the object, or None if that failed."""

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Remove the object; True if it is not there any more."""

    @abstractmethod
    def list_objects(self, prefix: str = "", max_keys: int = 1000) -> list[str]:
        """Up to *max_keys* keys that begin with *prefix*; an empty list if that failed."""

    @abstractmethod
    def head_object(self, key: str) -> dict[str, Any] | None:
        """``size`` in bytes, ``etag``, ``last_modified`` and ``metadata``, or None if that failed.

        ``last_modified`` is a datetime with time zone; ``metadata`` has names in lower case.
        """

    def close(self) -> None:  # noqa: B027 - many clients hold nothing
        """Let go of connections and threads."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def answers(
    failed: Callable[[], F],
) -> Callable[[Callable[Concatenate[D, P], T]], Callable[Concatenate[D, P], T | F]]:
    """A decorator: when the operation raises, log its key and the reason, and give *failed()*."""

    def decorate(operation: Callable[Concatenate[D, P], T]) -> Callable[Concatenate[D, P], T | F]:
        @functools.wraps(operation)
        def attempt(self: D, /, *args: P.args, **kwargs: P.kwargs) -> T | F:
            try:
                return operation(self, *args, **kwargs)
            except Exception as error:
                key = args[0] if args else next(iter(kwargs.values()), "")
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                for secret in (self.secret_key, self.driver_config.get("session_token")):
                    if secret:
                        reason = reason.replace(str(secret), "***")
                _log.warning(
                    "%s: %s of %r in the bucket %r failed: %s",
                    *(type(self).__name__, operation.__name__, key, self.bucket, reason),
                )
                return failed()

        return attempt

    return decorate
