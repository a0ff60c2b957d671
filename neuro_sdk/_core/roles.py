"""Who may do what on a platform that is served: one table from role to actions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["EVERYWHERE", "Action", "Grant", "Role", "allows", "projects_of", "role_in"]

EVERYWHERE = "*"
"""As the project of a grant, and then as its org too: the grant counts in every project."""


class Action(StrEnum):
    """What a call needs; the values are those of the protocol."""

    READ = "read"
    WRITE = "write"
    MANAGE = "manage"


class Role(StrEnum):
    """What a user is in a project."""

    READER = "reader"
    WRITER = "writer"
    OWNER = "owner"


_ALLOWED: dict[Role, frozenset[Action]] = {
    Role.READER: frozenset({Action.READ}),
    Role.WRITER: frozenset({Action.READ, Action.WRITE}),
    Role.OWNER: frozenset(Action),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The role of a user in a project of an org."""

    user: str
    org_name: str
    project_name: str
    role: Role


def role_in(grants: Iterable[Grant], org_name: str | None, project_name: str | None) -> Role | None:
    """The highest role that *grants* give in the project; None for none."""
    found = [
        grant.role
        for grant in grants
        if grant.project_name == EVERYWHERE
        or (grant.org_name == (org_name or "") and grant.project_name == project_name)
    ]
    return max(found, key=lambda role: len(_ALLOWED[role]), default=None)


def allows(role: Role | None, action: Action, *, made_it: bool = False) -> bool:
    """Whether *role* is enough; who made a bucket and may write there may also manage it."""
    if role is None:
        return False
    if action is Action.MANAGE and made_it:
        action = Action.WRITE
    return action in _ALLOWED[role]


def projects_of(grants: Iterable[Grant]) -> list[tuple[str, str, Role]]:
    """Org, project and role of each project that *grants* name, in order."""
    grants = list(grants)
    named = {(one.org_name, one.project_name) for one in grants if one.project_name != EVERYWHERE}
    return [
        (org, project, role)
        for org, project in sorted(named)
        if (role := role_in(grants, org, project)) is not None
    ]
