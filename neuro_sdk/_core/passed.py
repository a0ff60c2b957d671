"""The configuration that a platform passes to its jobs in one variable of the environment."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from ..errors import ConfigError
from .config import Target
from .secret import Hidden

__all__ = ["PASSED_VARIABLES", "read_passed"]

PASSED_VARIABLES = ("APOLO_PASSED_CONFIG", "NEURO_PASSED_CONFIG")
"""The variables that hold it, the one that counts first."""


def read_passed(data: str) -> Target:
    """The platform that the base64 text *data* passes on; ConfigError if it is none.

    No part of *data* is shown in an error, since it holds a token.
    """
    try:
        fields = json.loads(base64.b64decode("".join(data.split()), validate=True))
    except (binascii.Error, ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ConfigError("the passed configuration is not base64 of a JSON object")
    return Target(
        platform=_field(fields, "url"),
        token=Hidden(_field(fields, "token")),
        cluster=_field(fields, "cluster"),
        org=_optional(fields, "org_name"),
        project=_optional(fields, "project_name"),
    )


def _field(fields: dict[str, Any], name: str) -> str:
    value = _optional(fields, name)
    if value is None:
        raise ConfigError(f"the passed configuration lacks the field {name!r}")
    return value


def _optional(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ConfigError(f"the field {name!r} of the passed configuration is no text")
    return value
