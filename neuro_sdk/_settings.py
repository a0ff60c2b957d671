"""Which platform the user means: arguments over environment over the profile file.

| what           | environment            | profile file                      |
|----------------|------------------------|-----------------------------------|
| platform       | ``NEURO_SDK_PLATFORM`` | ``[profiles.NAME] platform``      |
| profile        | ``NEURO_SDK_PROFILE``  | ``default_profile``               |
| profile file   | ``NEURO_SDK_CONFIG``   | ``config.toml`` in the config folder of the user |

A platform is ``local:`` for the embedded one at its default place, or ``local:/PATH``.
"""

from __future__ import annotations

import getpass
import tomllib
from collections.abc import Callable
from pathlib import Path

import platformdirs
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ._core.config import ClientConfig
from .errors import ConfigError

__all__ = ["default_home", "find_platform", "local_config", "local_home"]

_APP = "neuro-sdk"
_CLUSTER = "local"
_ORG = "default-org"


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="NEURO_SDK_", env_ignore_empty=True, extra="ignore"
    )

    platform: str | None = None
    profile: str | None = None
    config: Path | None = None


class _Profile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    platform: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    default_profile: str | None = None
    profiles: dict[str, _Profile] = {}


def default_home() -> Path:
    """Where the embedded platform lives unless told otherwise."""
    return _folder_of_user(platformdirs.user_data_path) / "local"


def _folder_of_user(find: Callable[..., Path]) -> Path:
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


def find_platform(profile: str | None = None) -> tuple[str, str | None]:
    """The platform that is configured, and the name of its profile, None for the environment.

    Raises ConfigError with the next step where nothing, or something wrong, is configured.
    """
    environment = _Environment()
    if profile is None and environment.platform:
        return environment.platform, None
    path = environment.config or _folder_of_user(platformdirs.user_config_path) / "config.toml"
    file = _read(path)
    name = profile if profile is not None else environment.profile or file.default_profile
    if name is None:
        raise ConfigError(
            "no platform is configured; set NEURO_SDK_PLATFORM=local: for the embedded one on "
            f"this machine, write a profile into {str(path)!r}, or call neuro_sdk.local()"
        )
    if name not in file.profiles:
        known = ", ".join(sorted(file.profiles)) or "none"
        raise ConfigError(f"there is no profile {name!r} in {str(path)!r}; it has: {known}")
    return file.profiles[name].platform, name


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return _File()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"the profile file {str(path)!r} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        # Its cause shows the input, which may be a secret in the wrong place.
        raise ConfigError(
            f"the field {field!r} in {str(path)!r} is wrong: {first['msg']}"
        ) from None


def local_home(platform: str) -> Path:
    """The folder that a ``local:`` platform names; ConfigError for another kind."""
    scheme, colon, place = platform.partition(":")
    if scheme != "local" or not colon:
        raise ConfigError(
            f"{platform!r} is not a platform that this version knows; write local: or local:/PATH"
        )
    if not place:
        return default_home()
    path = Path(place)
    if not path.is_absolute():
        raise ConfigError(f"the path in {platform!r} must be absolute, as in local:/srv/blobs")
    return path


def local_config(home: Path, profile: str | None) -> ClientConfig:
    """Who uses the embedded platform: the user of this machine, in a project of that name."""
    try:
        username = getpass.getuser()
    except (OSError, KeyError, ImportError):
        username = "user"
    return ClientConfig(
        platform=f"local:{home}",
        username=username,
        cluster_name=_CLUSTER,
        org_name=_ORG,
        project_name=username,
        profile=profile,
    )
