"""Which store a platform keeps its buckets at: a TOML file, secrets also from elsewhere."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from .._core.models import Bucket
from ..errors import ConfigError
from .admin.azure import AzureAdmin, AzureClusterConfig
from .admin.gcs import GcsAdmin, GcsClusterConfig
from .admin.s3 import S3Admin, S3ClusterConfig

__all__ = ["ClusterConfig", "open_admin", "read_cluster"]

ClusterConfig = S3ClusterConfig | AzureClusterConfig | GcsClusterConfig
"""Any of them; ``provider`` says which store it is."""

_KINDS: Mapping[str, type[ClusterConfig]] = {
    Bucket.Provider.AWS.value: S3ClusterConfig,
    Bucket.Provider.AZURE.value: AzureClusterConfig,
    Bucket.Provider.GCP.value: GcsClusterConfig,
    Bucket.Provider.MINIO.value: S3ClusterConfig,
    Bucket.Provider.SEAWEEDFS.value: S3ClusterConfig,
}
_FILES: Mapping[str, str] = {
    "account_key_file": "account_key",
    "key_file": "key_data",
    "secret_access_key_file": "secret_access_key",
}
"""Fields that name a file, and those that they stand for."""


class _Cluster(BaseSettings):
    """The file and, over it, the environment, as far as they go; a ClusterConfig judges them."""

    model_config = SettingsConfigDict(
        env_prefix="NEURO_SDK_STORE_", extra="allow", hide_input_in_errors=True
    )
    path: ClassVar[Path]

    access_key_id: str | None = None
    account_key: SecretStr | None = None
    account_key_file: Path | None = None
    key_data: SecretStr | None = None
    key_file: Path | None = None
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


def read_cluster(path: Path) -> ClusterConfig:
    """The configuration in the TOML file *path*.

    ``NEURO_SDK_STORE_ACCESS_KEY_ID`` and ``NEURO_SDK_STORE_SECRET_ACCESS_KEY``, or
    ``NEURO_SDK_STORE_ACCOUNT_KEY``, or ``NEURO_SDK_STORE_KEY_DATA``, win over the file, and
    ``secret_access_key_file``, ``account_key_file`` or ``key_file`` names a file, relative to
    this one, that holds the secret. Raises ConfigError that names the field, never its value.
    """
    read = type("_ClusterFile", (_Cluster,), {"path": path, "__module__": __name__})
    try:
        given: dict[str, Any] = read().model_dump(exclude_none=True)
        for named, field in _FILES.items():
            file = given.pop(named, None)
            if file is not None and field not in given:
                given[field] = _secret(path.parent / file, named)
        kind = _KINDS.get(str(given.get("provider")))
        if kind is None:
            raise ConfigError(
                f"'provider' in {str(path)!r} must be one of: {', '.join(sorted(_KINDS))}"
            )
        return kind.model_validate(given)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"the store file {str(path)!r} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{field!r} in {str(path)!r} is wrong: {first['msg']}") from None


async def open_admin(config: ClusterConfig) -> S3Admin | AzureAdmin | GcsAdmin:
    """The administration of the store that *config* describes."""
    if isinstance(config, GcsClusterConfig):
        return await GcsAdmin.open(config)
    if isinstance(config, AzureClusterConfig):
        return await AzureAdmin.open(config)
    return await S3Admin.open(config)


def _secret(path: Path, field: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"{field!r} names {str(path)!r}, which cannot be read: {error.strerror}"
        ) from error
