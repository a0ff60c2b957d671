"""Logging in to a platform over HTTP and out again: what the profile file remembers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from yarl import URL

from ._core.config import DEFAULT_PROFILE, Profile, Target, TransferConfig
from ._core.passed import PASSED_VARIABLES, read_passed
from ._core.secret import Hidden
from .errors import ConfigError, IllegalArgumentError

if TYPE_CHECKING:
    from ._settings import ProfileFile

__all__ = ["login_with_passed_config", "login_with_token", "logout", "profiles", "use_profile"]


async def login_with_token(
    token: str,
    url: str | URL,
    *,
    cluster: str | None = None,
    org: str | None = None,
    project: str | None = None,
    profile: str = DEFAULT_PROFILE,
) -> None:
    """Log in to the platform whose API is at *url*; :func:`neuro_sdk.get` opens it from then on.

    *cluster*, *org* and *project* say where to begin, by default in the first ones. They are
    remembered with the token in the profile file, for this user only, under the name
    *profile*, which becomes the default one. Raises AuthenticationError if the platform does
    not take the token, and ConfigError for a place that is not there; nothing is written then.
    """
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise IllegalArgumentError("the token is empty or holds what no token does")
    target = Target(
        platform=str(url), token=Hidden(token), cluster=cluster, org=org, project=project
    )
    await _login(target, profile)


async def login_with_passed_config(
    config_data: str | None = None, *, profile: str = DEFAULT_PROFILE
) -> None:
    """Log in with what a platform passes to its jobs, by default in the environment.

    That is ``APOLO_PASSED_CONFIG``, else ``NEURO_PASSED_CONFIG``. Raises ConfigError if there
    is none or it makes no sense, and otherwise as :func:`login_with_token`.
    """
    from ._settings import passed_config

    target = passed_config() if config_data is None else read_passed(config_data)
    if target is None:
        raise ConfigError(
            f"no configuration is passed; neither {' nor '.join(PASSED_VARIABLES)} is set"
        )
    await _login(target, profile)


async def logout(profile: str | None = None) -> None:
    """Forget a profile and its token, by default the default one; no error if there is none.

    The token itself stays good: whoever runs the platform can revoke it.
    """
    await asyncio.to_thread(lambda: _file().remove(profile))


async def profiles() -> list[Profile]:
    """The platforms that the profile file remembers, by name; none of their tokens.

    Raises ConfigError if the file makes no sense. What the environment says has no say here.
    """
    return await asyncio.to_thread(lambda: _file().profiles())


async def use_profile(name: str) -> None:
    """Make the profile *name* the default one; ConfigError names those that there are."""
    await asyncio.to_thread(lambda: _file().use(name))


def _file() -> ProfileFile:
    from ._settings import profile_file  # it stands on pydantic, which takes its time

    return profile_file()


async def _login(target: Target, profile: str) -> None:
    file = _file()
    await asyncio.to_thread(file.read)  # a file that cannot be read is known before all else
    limits = TransferConfig()
    from ._control.opening import open_http  # it takes its time, and few log in
    from ._providers.services import opener

    plane = await open_http(target, limits, opener(limits))
    await plane.close()
    config = plane.config
    wanted = replace(
        target,
        platform=config.platform,
        cluster=config.cluster_name,
        org=config.org_name,
        project=config.project_name,
    )
    await asyncio.to_thread(file.save, profile, wanted)
