"""What a platform says of itself at ``/config``, and where a client of it looks for buckets.

The protocol has had three eras: buckets belonged to an owner, then to a project, then to an org
and a project. A platform that tells of projects has the later two, which are asked alike.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from yarl import URL

from ..errors import ConfigError, IllegalArgumentError, PlatformError
from .config import ClientConfig
from .uri import Scope

__all__ = [
    "Cluster",
    "Discovered",
    "Project",
    "chosen",
    "create_fields",
    "is_asked_for",
    "list_query",
    "lookup_query",
    "read_config",
    "switched",
    "username_in",
]

_DEFAULT_ORG = "default-org"
_USER_CLAIMS = ("identity", "https://platform.neuromation.io/user")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster and where its buckets are asked for; the org None means no org."""

    name: str
    buckets_url: URL | None
    orgs: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project of the caller."""

    name: str
    cluster_name: str
    org_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """The clusters and projects of a caller; ``projects`` is None where there is no such thing."""

    authorized: bool
    clusters: tuple[Cluster, ...]
    projects: tuple[Project, ...] | None

    def cluster(self, name: str) -> Cluster:
        """The cluster of this name; ConfigError names those that there are."""
        for cluster in self.clusters:
            if cluster.name == name:
                return cluster
        known = ", ".join(repr(cluster.name) for cluster in self.clusters) or "none"
        raise ConfigError(f"this platform has no cluster {name!r} for you; it has: {known}")


def read_config(data: object, api: URL) -> Discovered:
    """The answer of ``/config`` of the platform at *api*."""
    if not isinstance(data, dict):
        raise PlatformError(f"{str(api)!r} does not answer as a platform does; check the address")
    projects = data.get("projects")
    return Discovered(
        authorized=data.get("authorized") is True,
        clusters=tuple(_cluster(entry, api) for entry in _list(data.get("clusters"))),
        projects=None if projects is None else tuple(map(_project, _list(projects))),
    )


def _cluster(entry: Mapping[str, Any], api: URL) -> Cluster:
    orgs = entry.get("orgs")
    url = entry.get("buckets_url")
    return Cluster(
        name=_name(entry, "name"),
        buckets_url=None if not url else _base(url, api),
        orgs=tuple(org or None for org in orgs) if isinstance(orgs, list) else (),
    )


def _base(url: object, api: URL) -> URL:
    try:
        base = URL(url) if isinstance(url, str) else URL()
    except ValueError:
        base = URL()
    if base.scheme not in ("http", "https") or not base.host or base.query or base.fragment:
        raise PlatformError("the platform gives a 'buckets_url' that is not http(s)://HOST/PATH")
    if api.scheme == "https" and base.scheme != "https":
        raise PlatformError(
            "the platform gives a 'buckets_url' without encryption, which would show your token"
        )
    return base


def _project(entry: Mapping[str, Any]) -> Project:
    return Project(
        name=_name(entry, "name"),
        cluster_name=_name(entry, "cluster_name"),
        org_name=entry.get("org_name") or None,
    )


def _list(entries: object) -> Sequence[Mapping[str, Any]]:
    if entries is None:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise PlatformError("the platform's configuration is not made as the protocol says")
    return entries


def _name(entry: Mapping[str, Any], field: str) -> str:
    value = entry.get(field)
    if not isinstance(value, str) or not value:
        raise PlatformError(f"the platform's configuration lacks the field {field!r}")
    return value


def username_in(token: str) -> str | None:
    """The user whom the claims of a token name; it is not verified, the platform does that."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    found = [claims.get(name) for name in _USER_CLAIMS] if isinstance(claims, dict) else []
    return next((name for name in found if isinstance(name, str) and name), None)


def chosen(
    found: Discovered,
    *,
    cluster: str | None = None,
    org: str | None = None,
    project: str | None = None,
) -> Scope:
    """The cluster, org and project that are wanted or, where nothing is, the first ones.

    Raises ConfigError for one that there is not, and where the platform has no cluster.
    """
    if not found.clusters:
        raise ConfigError("this platform has no cluster for you; ask those who run it for access")
    place = found.clusters[0] if cluster is None else found.cluster(cluster)
    if org is not None and place.orgs and org not in place.orgs:
        known = ", ".join(repr(name) for name in place.orgs if name) or "none"
        raise ConfigError(f"the cluster {place.name!r} has no org {org!r} for you; it has: {known}")
    if org is None:
        # An org where the wanted project is, else the first.
        fits = [
            one.org_name
            for one in found.projects or ()
            if one.cluster_name == place.name and one.name == project
        ]
        org = (fits or [*place.orgs, None if found.projects is None else _DEFAULT_ORG])[0]
    if found.projects is None:
        return Scope(cluster_name=place.name, org_name=org, project_name=project)
    names = sorted(
        one.name for one in found.projects if one.cluster_name == place.name and one.org_name == org
    )
    if project is not None and project not in names:
        known = ", ".join(map(repr, names)) or "none"
        raise ConfigError(
            f"there is no project {project!r} for you in the org {org!r} of the cluster "
            f"{place.name!r}; there is: {known}"
        )
    name = project or (names[0] if names else None)
    return Scope(cluster_name=place.name, org_name=org, project_name=name)


def switched(
    found: Discovered | None,
    config: ClientConfig,
    *,
    cluster: str | None = None,
    org: str | None = None,
    project: str | None = None,
) -> ClientConfig:
    """*config* with another cluster, org or project; what lies below it is chosen anew.

    Without a *found* platform it is the embedded one, which has one cluster and takes any org
    and project. Raises ConfigError for one that there is not.
    """
    for what, name in (("cluster", cluster), ("org", org), ("project", project)):
        if name is not None and (not isinstance(name, str) or not name):
            raise IllegalArgumentError(f"the name of a {what} is text and not empty")
    if found is None:
        if cluster not in (None, config.cluster_name):
            raise ConfigError(
                f"there is no cluster {cluster!r} here; "
                f"this platform has the one cluster {config.cluster_name!r}"
            )
        return replace(
            config,
            org_name=org or config.org_name,
            project_name=project or config.project_name,
        )
    scope = chosen(
        found,
        cluster=cluster or config.cluster_name,
        org=org or (None if cluster else config.org_name),
        project=project,
    )
    return replace(
        config,
        cluster_name=scope.cluster_name,
        org_name=scope.org_name,
        project_name=scope.project_name,
    )


def lookup_query(scope: Scope, *, projects: bool) -> dict[str, str]:
    """The query that finds a bucket by id or name; never owner and project together."""
    query: dict[str, str] = {}
    if scope.org_name:
        query["org_name"] = scope.org_name
    if scope.owner:
        query["owner"] = scope.owner
    elif scope.project_name:
        query["project_name" if projects else "owner"] = scope.project_name
    return query


def list_query(scope: Scope, *, projects: bool) -> dict[str, str]:
    """The query that lists the buckets of a scope: nothing where no project is known."""
    if not projects or not (scope.project_name or scope.owner):
        return {}
    query = {"org_name": scope.org_name} if scope.org_name else {}
    return {**query, "project_name": scope.project_name or scope.owner or ""}


def create_fields(scope: Scope, *, projects: bool) -> dict[str, str | None]:
    """What says where a bucket is to be made; servers without projects refuse the very field."""
    fields: dict[str, str | None] = {"org_name": scope.org_name}
    project = scope.project_name or scope.owner
    if projects and project:
        fields["project_name"] = project
    return fields


def is_asked_for(
    id_or_name: str,
    scope: Scope,
    *,
    found_id: str,
    found_owner: str,
    found_project: str | None,
) -> bool:
    """Whether what a server found is in the scope; an id is found anywhere.

    Some servers ignore a query that they do not know, and answer with a bucket of the caller's.
    """
    wanted = scope.owner or scope.project_name
    if found_id == id_or_name or wanted is None:
        return True
    if scope.owner:
        return wanted in (found_owner, found_project)
    return wanted == (found_project or found_owner)
