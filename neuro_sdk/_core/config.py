"""Values that say how the client works; where they come from is decided elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import ConfigError
from .secret import Hidden
from .uri import Scope

__all__ = ["DEFAULT_PROFILE", "ClientConfig", "Profile", "Target", "TransferConfig"]

DEFAULT_PROFILE = "default"
"""What a login is remembered by unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A platform that the profile file remembers, and where on it a client begins to look.

    ``platform`` is ``local:[PATH]`` or the address of an API. ``default`` marks the profile that
    is used where none is named, ``logged_in`` one that has a token.
    """

    name: str
    platform: str
    cluster: str | None = None
    org: str | None = None
    project: str | None = None
    default: bool = False
    logged_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A platform that is configured, and where on it a client begins to look for buckets.

    ``platform`` is ``local:[PATH]`` or the address of an API; ``profile`` is the name of the
    profile it came from, or None.
    """

    platform: str
    token: Hidden | None = field(default=None, repr=False)
    cluster: str | None = None
    org: str | None = None
    project: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """Who the client is and where it looks for buckets unless told otherwise.

    ``platform`` is ``local:`` and a path for the embedded platform, else the address of an API.
    ``profile`` is the name of the profile it came from, or None.
    """

    platform: str
    username: str
    cluster_name: str
    org_name: str | None = None
    project_name: str | None = None
    profile: str | None = None

    @property
    def scope(self) -> Scope:
        """The cluster, org and project that calls use when they name none."""
        return Scope(
            cluster_name=self.cluster_name, org_name=self.org_name, project_name=self.project_name
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferConfig:
    """Bounds of a transfer.

    At most ``concurrency`` files move at once; of small ones a third waits for its turn. A file
    larger than ``part_size`` bytes moves in parts, ``window`` of them in flight; parts are larger
    where a store asks for it or takes only so many. The bodies that one call holds take
    ``memory`` bytes at most, so fewer files move at once when they are large. ``bandwidth`` is
    how many bytes a second one call moves at most; None means as many as there can be.
    ``timeout`` is the longest wait for one answer of a store, in seconds; ``retries`` is how often
    a failed request is repeated, though one that is never answered no more than 4 times.
    """

    concurrency: int = 96
    part_size: int = 12 << 20
    window: int = 8
    memory: int = 128 << 20
    bandwidth: int | None = None
    timeout: float = 30.0
    retries: int = 8

    def __post_init__(self) -> None:
        for name, least in (("concurrency", 1), ("part_size", 64 << 10), ("window", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"TransferConfig.{name} must be at least {least}")
        if self.memory < self.part_size:
            raise ConfigError("TransferConfig.memory must be at least part_size")
        if self.bandwidth is not None and self.bandwidth < 1:
            raise ConfigError("TransferConfig.bandwidth must be at least 1, or None")
        if self.timeout <= 0 or self.retries < 0:
            raise ConfigError("TransferConfig.timeout must be positive and retries not negative")

    def instead_of(self, other: TransferConfig) -> TransferConfig:
        """Itself, for some calls of a client made with *other*.

        ConfigError if it asks for what a client settles once for all its calls.
        """
        for name in ("timeout", "retries"):
            if getattr(self, name) != getattr(other, name):
                raise ConfigError(
                    f"TransferConfig.{name} is set for a whole client, where it is opened; "
                    f"leave it at {getattr(other, name)!r} here"
                )
        return self
