"""Which platform the user means: arguments over environment over the profile file.

| what         | environment            | profile file               |
|--------------|------------------------|----------------------------|
| platform     | ``NEURO_SDK_PLATFORM`` | ``platform`` of a profile  |
| token        | ``NEURO_SDK_TOKEN``    | ``token``                  |
| cluster      | ``NEURO_SDK_CLUSTER``  | ``cluster``                |
| org          | ``NEURO_SDK_ORG``      | ``org``                    |
| project      | ``NEURO_SDK_PROJECT``  | ``project``                |
| profile      | ``NEURO_SDK_PROFILE``  | ``default_profile``        |
| profile file | ``NEURO_SDK_CONFIG``   | in the user's config folder |

Where none of it is there, ``APOLO_PASSED_CONFIG`` and then ``NEURO_PASSED_CONFIG`` count, which a
platform gives its jobs.

A platform is ``local:`` for the embedded one at its default place, ``local:/PATH``, or the
address of an API, ``http(s)://HOST/PATH``. The token of a profile goes to its platform only.
"""

from __future__ import annotations

import getpass
import os
from dataclasses import replace
from pathlib import Path

import platformdirs
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from .._core.config import ClientConfig, Target
from .._core.passed import PASSED_VARIABLES, read_passed
from .._core.secret import Hidden
from ..errors import ConfigError
from .profiles import ProfileFile, folder_of_user, profile_path

__all__ = [
    "ProfileFile",
    "default_home",
    "find_platform",
    "local_config",
    "local_home",
    "passed_config",
    "profile_file",
]

_CLUSTER = "local"
_ORG = "default-org"


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="NEURO_SDK_", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    platform: str | None = None
    token: SecretStr | None = None
    cluster: str | None = None
    org: str | None = None
    project: str | None = None
    profile: str | None = None
    config: Path | None = None


def default_home() -> Path:
    """Where the embedded platform lives unless told otherwise."""
    return folder_of_user(platformdirs.user_data_path) / "local"


def profile_file() -> ProfileFile:
    """The profile file of this user, which need not be there."""
    return ProfileFile(_Environment().config or profile_path())


def passed_config() -> Target | None:
    """The platform that is passed to this job, if one is."""
    data = next(filter(None, map(os.environ.get, PASSED_VARIABLES)), None)
    return None if data is None else read_passed(data)


def find_platform(profile: str | None = None) -> Target:
    """The platform that is configured; ``profile`` of it is None for the environment.

    Raises ConfigError with the next step where nothing, or something wrong, is configured.
    """
    environment = _Environment()
    if profile is None and environment.platform:
        return _over(Target(platform=environment.platform), environment)
    file = profile_file()
    content = file.read()
    if profile is not None:
        return file.target(profile, content)  # what is asked for by name is not changed
    name = environment.profile or content.default_profile
    if name is not None:
        return _over(file.target(name, content), environment)
    passed = passed_config()
    if passed is None:
        raise ConfigError(
            "no platform is configured; set NEURO_SDK_PLATFORM=local: for the embedded one on "
            "this machine, log in to a platform with neuro_sdk.login_with_token(), write a "
            f"profile into {str(file.path)!r}, or call neuro_sdk.local()"
        )
    return passed


def _over(target: Target, environment: _Environment) -> Target:
    token = environment.token
    return replace(
        target,
        token=target.token if token is None else Hidden(token.get_secret_value()),
        cluster=environment.cluster or target.cluster,
        org=environment.org or target.org,
        project=environment.project or target.project,
    )


def local_home(platform: str) -> Path:
    """The folder that a ``local:`` platform names; ConfigError for another kind."""
    scheme, colon, place = platform.partition(":")
    if scheme != "local" or not colon:
        raise ConfigError(
            f"{platform!r} is not a platform that this version knows; write local:, local:/PATH or "
            "http(s)://HOST/PATH"
        )
    if not place:
        return default_home()
    path = Path(place)
    if not path.is_absolute():
        raise ConfigError(f"the path in {platform!r} must be absolute, as in local:/srv/blobs")
    return path


def local_config(home: Path, target: Target | None = None) -> ClientConfig:
    """Who uses the embedded platform: the user of this machine, in a project of that name.

    *target* says so where the user has chosen another org or project.
    """
    try:
        username = getpass.getuser()
    except (OSError, KeyError, ImportError):
        username = "user"
    wanted = target or Target(platform="local:")
    if wanted.cluster not in (None, _CLUSTER):
        raise ConfigError(
            f"there is no cluster {wanted.cluster!r} on this machine; "
            f"the embedded platform has the one cluster {_CLUSTER!r}"
        )
    return ClientConfig(
        platform=f"local:{home}",
        username=username,
        cluster_name=_CLUSTER,
        org_name=wanted.org or _ORG,
        project_name=wanted.project or username,
        profile=wanted.profile,
    )
