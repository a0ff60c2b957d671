"""``Config``: who the client is and where it looks, and how to look elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ._core.config import ClientConfig
from ._core.discovery import Discovered, switched
from ._core.uri import Scope

__all__ = ["Config"]


class Config:
    """Who the client is and where it looks for buckets unless told otherwise.

    Available as ``Client.config``. The ``switch_`` methods change it for this client and, if
    the client came from a profile, for the next ones of that profile.
    """

    def __init__(
        self,
        current: ClientConfig,
        discovered: Discovered | None,
        apply: Callable[[ClientConfig], Awaitable[None]],
    ) -> None:
        self._current = current
        self._discovered = discovered
        self._apply = apply

    def __repr__(self) -> str:
        return f"<Config of {self.username!r} on {self.platform!r}>"

    @property
    def platform(self) -> str:
        """``local:`` and a path for the embedded platform, else the address of the API."""
        return self._current.platform

    @property
    def username(self) -> str:
        """Name of the user."""
        return self._current.username

    @property
    def cluster_name(self) -> str:
        """The cluster that calls use when they name none."""
        return self._current.cluster_name

    @property
    def org_name(self) -> str | None:
        """The org that calls use when they name none."""
        return self._current.org_name

    @property
    def project_name(self) -> str | None:
        """The project that calls use when they name none."""
        return self._current.project_name

    @property
    def profile(self) -> str | None:
        """The profile that the client came from, or None."""
        return self._current.profile

    @property
    def scope(self) -> Scope:
        """Cluster, org and project together."""
        return self._current.scope

    @property
    def clusters(self) -> list[str]:
        """The names of the clusters of the platform, the first one first."""
        if self._discovered is None:
            return [self.cluster_name]
        return [cluster.name for cluster in self._discovered.clusters]

    async def switch_cluster(self, name: str) -> None:
        """Look in another cluster, in its first org and project; ConfigError if there is none."""
        await self._switch(switched(self._discovered, self._current, cluster=name))

    async def switch_org(self, name: str) -> None:
        """Look in another org of the cluster, in its first project; ConfigError if unknown."""
        await self._switch(switched(self._discovered, self._current, org=name))

    async def switch_project(self, name: str) -> None:
        """Look in another project of the org; ConfigError if there is none of this name."""
        await self._switch(switched(self._discovered, self._current, project=name))

    async def _switch(self, config: ClientConfig) -> None:
        await self._apply(config)
        self._current = config
