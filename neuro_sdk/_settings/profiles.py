"""The profile file: several named platforms of one user, with their tokens."""

from __future__ import annotations

import os
import tomllib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import tomli_w
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from .._core.config import Profile, Target
from .._core.secret import Hidden
from ..errors import ConfigError, IllegalArgumentError, local_error

__all__ = ["ProfileFile", "folder_of_user", "profile_path"]

_APP = "neuro-sdk"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _Profile(_Strict):
    platform: str
    token: SecretStr | None = None
    cluster: str | None = None
    org: str | None = None
    project: str | None = None


class _File(_Strict):
    default_profile: str | None = None
    profiles: dict[str, _Profile] = {}


def folder_of_user(find: Callable[..., Path]) -> Path:
    """A folder of this user, found by a function of platformdirs."""
    try:
        folder = find(_APP, appauthor=False)
    except RuntimeError:
        folder = Path("~")
    if not folder.is_absolute():
        raise ConfigError(
            "this user has no home folder; set HOME, or name a place, as in "
            "NEURO_SDK_PLATFORM=local:/srv/blobs or neuro_sdk.local('/srv/blobs')"
        )
    return folder


def profile_path() -> Path:
    """Where the profile file of this user is unless told otherwise."""
    return folder_of_user(platformdirs.user_config_path) / "config.toml"


class ProfileFile:
    """The file at *path*, which need not be there.

    It is replaced as a whole, for this user only, so that nobody reads half of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> _File:
        """What it says; ConfigError names the field that is wrong, never its value."""
        try:
            return _File.model_validate(tomllib.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return _File()
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            # Not as the cause: it may hold the text of the file, and so a token.
            what = str(error) if isinstance(error, OSError) else "it is not TOML in UTF-8"
            line = f": {error}" if isinstance(error, tomllib.TOMLDecodeError) else ""
            raise ConfigError(
                f"the profile file {str(self.path)!r} cannot be read: {what}{line}"
            ) from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            raise ConfigError(
                f"the field {field!r} in {str(self.path)!r} is wrong: {first['msg']}"
            ) from None

    def target(self, name: str, content: _File) -> Target:
        """The platform of the profile *name*; ConfigError names those that there are."""
        profile = self._find(name, content)
        token = profile.token
        return Target(
            platform=profile.platform,
            token=None if token is None else Hidden(token.get_secret_value()),
            cluster=profile.cluster,
            org=profile.org,
            project=profile.project,
            profile=name,
        )

    def _find(self, name: str, content: _File) -> _Profile:
        profile = content.profiles.get(name)
        if profile is None:
            known = ", ".join(sorted(content.profiles)) or "none"
            raise ConfigError(
                f"there is no profile {name!r} in {str(self.path)!r}; it has: {known}"
            )
        return profile

    def profiles(self) -> list[Profile]:
        """All of them, by name."""
        content = self.read()
        return [
            Profile(
                name=name,
                platform=profile.platform,
                cluster=profile.cluster,
                org=profile.org,
                project=profile.project,
                default=name == content.default_profile,
                logged_in=profile.token is not None,
            )
            for name, profile in sorted(content.profiles.items())
        ]

    def use(self, name: str) -> None:
        """Make the profile the default one; ConfigError names those that there are."""
        content = self.read()
        self._find(name, content)
        content.default_profile = name
        self._write(content)

    def save(self, name: str, target: Target, *, make_default: bool = True) -> None:
        """Write the profile *name*, the default one from now on if *make_default*."""
        if not name:
            raise IllegalArgumentError("the name of a profile is text and not empty")
        content = self.read()
        content.profiles[name] = _Profile(
            platform=target.platform,
            token=None if target.token is None else SecretStr(str(target.token)),
            cluster=target.cluster,
            org=target.org,
            project=target.project,
        )
        if make_default:
            content.default_profile = name
        self._write(content)

    def switch(
        self, name: str, *, cluster: str | None, org: str | None, project: str | None
    ) -> None:
        """Have the profile begin elsewhere from now on; nothing happens if it is not there."""
        content = self.read()
        profile = content.profiles.get(name)
        if profile is not None:
            profile.cluster, profile.org, profile.project = cluster, org, project
            self._write(content)

    def remove(self, name: str | None) -> str | None:
        """Forget the profile, by default the default one; its name, or None if it was not there."""
        content = self.read()
        name = name or content.default_profile
        if name is None or content.profiles.pop(name, None) is None:
            return None
        if content.default_profile == name:
            content.default_profile = None
        self._write(content)
        return name

    def _write(self, content: _File) -> None:
        path = Path(os.path.realpath(self.path))  # a link to the file stays one
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            try:
                with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                    tomli_w.dump(_plain(content), file)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as cause:
            raise local_error(cause, path) from cause


def _plain(content: _File) -> dict[str, Any]:
    """What TOML holds, secrets as they are."""
    plain: dict[str, Any] = content.model_dump(exclude_none=True)
    for name, profile in content.profiles.items():
        if profile.token is not None:
            plain["profiles"][name]["token"] = profile.token.get_secret_value()
    return plain
