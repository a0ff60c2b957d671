"""Requests to S3 stores, where the extra ``s3`` is installed; imported when first needed."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ...errors import ConfigError

if TYPE_CHECKING:
    from .s3_calls import Calls

__all__ = ["open_calls"]


async def open_calls(
    *,
    endpoint_url: str | None,
    region_name: str,
    access_key_id: str,
    secret_access_key: str,
    session_token: str | None = None,
    services: Collection[str] | None = None,
) -> Calls:
    """Clients for these keys, of all *services* by default; ConfigError says what to install."""
    try:
        from .s3_calls import SERVICES, Access, Calls
    except ImportError as cause:
        raise ConfigError(
            "S3 stores are administered with a package that is not installed; "
            "run: pip install 'neuro-blob-sdk[s3]'"
        ) from cause
    access = Access(
        endpoint_url=endpoint_url,
        region_name=region_name,
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        session_token=session_token,
    )
    return await Calls.open(access, services=SERVICES if services is None else services)
