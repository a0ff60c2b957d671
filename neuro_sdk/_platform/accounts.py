"""Who may ask a platform that is served: tokens, of which only hashes are kept, and roles."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select

from .._core.roles import EVERYWHERE, Grant, Role
from .._core.secret import Hidden
from ..errors import BucketNotFound, IllegalArgumentError, InvalidName
from .store import Store
from .tables import RoleRow, TokenRow

__all__ = ["Accounts", "Caller", "TokenInfo", "check_place"]

_PLACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LONGEST_NOTE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInfo:
    """A token as it is listed: all but the token."""

    id: str
    user: str
    note: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A user who showed a good token, with the roles of this moment."""

    user: str
    token_id: str
    grants: tuple[Grant, ...]


def check_place(name: str, what: str) -> str:
    """*name* if a user, org or project may be called so, else InvalidName."""
    if not isinstance(name, str) or not _PLACE.fullmatch(name):
        raise InvalidName(
            f"the {what} name {name!r} must have 1 to 63 characters of a-z, A-Z, 0-9, '.', "
            "'_' and '-', a letter or digit first"
        )
    return name


class Accounts:
    """Tokens and roles in the registry of a platform, for any number of processes.

    What is revoked counts from the next request on.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create_token(
        self, user: str, *, note: str = "", life: timedelta | None = None
    ) -> tuple[str, TokenInfo]:
        """Make a token for *user*; it is shown this once, for only its hash is kept."""
        check_place(user, "user")
        if len(note) > _LONGEST_NOTE or not (note.isprintable() or not note):
            raise IllegalArgumentError("a note is one line of at most 200 characters")
        if life is not None and life <= timedelta(0):
            raise IllegalArgumentError("a token must be good for a positive time")
        now = datetime.now(UTC)
        info = TokenInfo(
            id=f"token-{uuid.uuid4()}",
            user=user,
            note=note,
            created_at=now,
            expires_at=None if life is None else now + life,
        )
        token = _new_token(info)
        async with self._store.transaction(write=True) as session:
            session.add(
                TokenRow(
                    id=info.id,
                    user_name=user,
                    sha256=_digest(token),
                    note=note,
                    created_at=info.created_at,
                    expires_at=info.expires_at,
                )
            )
        return token, info

    async def tokens(self) -> list[TokenInfo]:
        """Every token, oldest first."""
        query = select(TokenRow).order_by(TokenRow.created_at, TokenRow.id)
        async with self._store.transaction() as session:
            return [_info(row) for row in await session.scalars(query)]

    async def revoke_token(self, token_id: str) -> None:
        """Forget a token; BucketNotFound, a ResourceNotFound, if there is none with this id."""
        async with self._store.transaction(write=True) as session:
            row = await session.get(TokenRow, token_id)
            if row is None:
                raise BucketNotFound(f"there is no token {token_id!r}")
            await session.delete(row)

    async def grant(self, grant: Grant) -> None:
        """Give a role, in the place of the one that the user has in that project."""
        check_place(grant.user, "user")
        if (grant.org_name, grant.project_name) != (EVERYWHERE, EVERYWHERE):
            check_place(grant.org_name, "org")
            check_place(grant.project_name, "project")
        async with self._store.transaction(write=True) as session:
            await session.merge(
                RoleRow(
                    user_name=grant.user,
                    org_name=grant.org_name,
                    project_name=grant.project_name,
                    role=grant.role.value,
                )
            )

    async def withdraw(self, user: str, org_name: str, project_name: str) -> None:
        """Take the role of a user in a project away; BucketNotFound if there is none."""
        async with self._store.transaction(write=True) as session:
            row = await session.get(RoleRow, (user, org_name, project_name))
            if row is None:
                raise BucketNotFound(f"{user!r} has no role in {org_name}/{project_name}")
            await session.execute(
                delete(RoleRow).where(
                    RoleRow.user_name == user,
                    RoleRow.org_name == org_name,
                    RoleRow.project_name == project_name,
                )
            )

    async def grants(self, user: str | None = None) -> list[Grant]:
        """The roles of one user or of all."""
        query = select(RoleRow)
        if user is not None:
            query = query.where(RoleRow.user_name == user)
        query = query.order_by(RoleRow.org_name, RoleRow.project_name, RoleRow.user_name)
        async with self._store.transaction() as session:
            return [_grant(row) for row in await session.scalars(query)]

    async def caller(self, token: str) -> Caller | None:
        """Who shows this token; None where it is unknown, revoked or past its end."""
        async with self._store.transaction() as session:
            row = await session.scalar(select(TokenRow).where(TokenRow.sha256 == _digest(token)))
            if row is None or (row.expires_at is not None and row.expires_at <= datetime.now(UTC)):
                return None
            roles = await session.scalars(select(RoleRow).where(RoleRow.user_name == row.user_name))
            return Caller(
                user=row.user_name,
                token_id=row.id,
                grants=tuple(_grant(role) for role in roles),
            )


def _new_token(info: TokenInfo) -> str:
    """A JSON web token, for existing clients read the user's name from its claims.

    What makes it good is not a signature but that the registry knows its hash.
    """
    claims = {"identity": info.user, "jti": info.id, "iat": int(info.created_at.timestamp())}
    if info.expires_at is not None:
        claims["exp"] = int(info.expires_at.timestamp())
    parts = [
        *(json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)),
        secrets.token_bytes(32),
    ]
    return Hidden(".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts))


def _digest(token: str) -> str:
    # 256 bits of chance need no salt and no slow hash.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _info(row: TokenRow) -> TokenInfo:
    return TokenInfo(
        id=row.id,
        user=row.user_name,
        note=row.note,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def _grant(row: RoleRow) -> Grant:
    return Grant(
        user=row.user_name,
        org_name=row.org_name,
        project_name=row.project_name,
        role=Role(row.role),
    )
