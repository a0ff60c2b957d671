"""What an OpenDAL driver is told, from keyword arguments or a YAML file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_validator

from .._core.places import is_secret
from .._core.uri import LocalPath, local_path
from .._providers.options import check_options
from ..errors import ConfigError, local_error

__all__ = ["OpendalConfig"]


class OpendalConfig(BaseModel):
    """Which place a driver opens, and whether it tidies up."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    scheme: str
    """The kind of store: ``fs``, ``s3``, ``azblob``, ``gcs``, ``memory`` or what else there is."""
    kwargs: dict[str, str | SecretStr] = {}
    """The options of that kind of store, as OpenDAL calls them."""
    remove_created_on_close: bool = False
    """Remove what was made when the driver is closed."""

    @field_validator("kwargs", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {name: _text(str(name), option) for name, option in value.items()}

    @classmethod
    def of(cls, **fields: Any) -> OpendalConfig:
        """Check the fields; ConfigError names the one that is unknown, missing or wrong."""
        return cls._checked(fields, "the configuration of the driver")

    @classmethod
    def from_yaml(cls, path: LocalPath) -> OpendalConfig:
        """Read a file with these fields, or with them below ``config`` beside a ``type``.

        ConfigError names the file and the field that is wrong, never its value.
        """
        file = local_path(path)
        fields = _read(file)
        if isinstance(fields, dict) and "config" in fields and fields.keys() <= {"config", "type"}:
            fields = fields["config"]
        if not isinstance(fields, dict):
            raise ConfigError(f"{str(file)!r} is not a mapping with 'scheme' and 'kwargs'")
        return cls._checked({str(name): value for name, value in fields.items()}, repr(str(file)))

    @classmethod
    def _checked(cls, fields: dict[str, Any], where: str) -> OpendalConfig:
        try:
            config = cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            known = ", ".join(cls.model_fields)
            raise ConfigError(
                f"the field {field!r} in {where} is wrong: {first['msg']}; fields are: {known}"
            ) from None
        check_options(config.scheme, config.options)
        return config

    @property
    def options(self) -> dict[str, str]:
        """The options as they are, secrets too."""
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in self.kwargs.items()
        }


def _text(name: str, value: object) -> object:
    """What the store is told: all of it is text there, and secrets do not show themselves."""
    if isinstance(value, SecretStr):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, (int, float)):
        value = str(value)
    if not isinstance(value, str):
        return value
    return SecretStr(value) if is_secret(name) else value


def _read(file: Path) -> object:
    try:
        import yaml
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "YAML files need PyYAML: pip install 'neuro-blob-sdk[drivers]'", name=missing.name
        ) from missing
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as cause:
        raise local_error(cause, file) from cause
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" (line {mark.line + 1})"
        # Not as the cause: it may show a line of the file, and so a secret.
        raise ConfigError(f"{str(file)!r} is not YAML in UTF-8{line}") from None
