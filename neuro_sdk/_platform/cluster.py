"""Which store a platform keeps its buckets at: a TOML file, secrets also from elsewhere."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, ClassVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ..errors import ConfigError
from .admin.s3 import S3ClusterConfig

__all__ = ["read_cluster"]


class _Cluster(BaseSettings):
    """The file and, over it, the environment, as far as they go; S3ClusterConfig judges them."""

    model_config = SettingsConfigDict(
        env_prefix="NEURO_SDK_STORE_", extra="allow", hide_input_in_errors=True
    )
    path: ClassVar[Path]

    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    secret_access_key_file: Path | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del init_settings, dotenv_settings, file_secret_settings
        return env_settings, TomlConfigSettingsSource(settings_cls, cls.path)


def read_cluster(path: Path) -> S3ClusterConfig:
    """The configuration in the TOML file *path*.

    ``NEURO_SDK_STORE_ACCESS_KEY_ID`` and ``NEURO_SDK_STORE_SECRET_ACCESS_KEY`` win over the
    file, and ``secret_access_key_file`` names a file, relative to this one, that holds the
    secret. Raises ConfigError that names the field, never its value.
    """
    read = type("_ClusterFile", (_Cluster,), {"path": path, "__module__": __name__})
    try:
        given: dict[str, Any] = read().model_dump(exclude_none=True)
        secret_file = given.pop("secret_access_key_file", None)
        if secret_file is not None and "secret_access_key" not in given:
            given["secret_access_key"] = _secret(path.parent / secret_file)
        return S3ClusterConfig.model_validate(given)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"the store file {str(path)!r} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{field!r} in {str(path)!r} is wrong: {first['msg']}") from None


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"'secret_access_key_file' names {str(path)!r}, which cannot be read: {error.strerror}"
        ) from error
