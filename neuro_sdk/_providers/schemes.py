"""Any store that OpenDAL knows, by its scheme and options.

``fs``, ``s3``, ``azblob`` and ``gcs`` get the provider that buckets have, where it can be told
what the options say; everything else, and they with other options, OpenDAL as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import PurePath
from urllib.parse import quote

from .._core import azure
from .._core.config import TransferConfig
from .._core.described import Capability, Metadata, PresignedRequest
from .._core.keys import LOCAL_INTERNAL, KeyRules, tree_prefix
from .._core.models import Bucket
from .._core.uri import local_path
from ..errors import BlobIsADirectory, ConfigError, NotSupportedError, local_error
from ..protocols import Provider
from .azure import AzureAccess, azure_access
from .objects import ObjectProvider
from .opendal import Engine
from .options import MAKERS, azure_fields, bucket_of, check_options, open_kind
from .rooted import RootedProvider

__all__ = ["SchemeService", "open_scheme"]

_METADATA = frozenset({"s3", "azblob", "gcs"})


Sign = Callable[[str, str, int], Awaitable[PresignedRequest]]
"""Signs an operation on a key for so many seconds."""


class SchemeService:
    """The ``Service`` of one scheme; ``provider`` has its bytes, *sign* its signed requests."""

    def __init__(
        self, scheme: str, provider: Provider, engine: Engine, root: str, sign: Sign | None
    ) -> None:
        self.provider = provider
        self._scheme = scheme
        self._engine = engine
        self._root = root
        self._sign = sign

    async def capability(self) -> Capability:
        signs = {
            f"presign_{name}": self._sign is not None
            and (self._scheme == "azblob" or self._engine.can(f"presign_{name}"))
            for name in ("stat", "read", "write")
        }
        return Capability(
            list=self._engine.can("list"),
            write=self._engine.can("write"),
            append=self._engine.can("write"),
            create_dir=self._engine.can("create_dir"),
            delete=self._engine.can("delete"),
            server_copy=self._engine.can("copy"),
            rename=self._engine.can("delete"),
            presign=any(signs.values()),
            write_with_user_metadata=self._keeps_metadata,
            **signs,
        )

    @property
    def _keeps_metadata(self) -> bool:
        return self._scheme in _METADATA and self._engine.can("write_with_user_metadata")

    async def details(self, key: str) -> Metadata:
        found = await self._engine.details(self._root + key, key)
        if found.mode.is_dir():
            raise BlobIsADirectory("a directory", bucket=self._engine.bucket, key=key)
        return found

    async def put_described(self, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
        """As ``Provider.put``, with names and values beside the bytes."""
        if not metadata:
            await self.provider.put(key, body)
            return
        if not self._keeps_metadata:
            raise NotSupportedError(
                f"the scheme {self._scheme!r} keeps no metadata",
                bucket=self._engine.bucket,
                key=key,
            )
        await self._engine.write(self._root + key, body, key, user_metadata=dict(metadata))

    async def presign(self, operation: str, key: str, expires_in: int) -> PresignedRequest:
        can = await self.capability()
        if self._sign is None or not getattr(can, f"presign_{operation}"):
            raise NotSupportedError(
                f"the scheme {self._scheme!r}, opened as it is, signs no requests to {operation}",
                bucket=self._engine.bucket,
                key=key,
            )
        return await self._sign(operation, self._root + key, expires_in)

    async def close(self) -> None:
        """Let go of what is held."""
        await self.provider.close()


async def open_scheme(
    scheme: str, options: Mapping[str, str], transfer: TransferConfig
) -> SchemeService:
    """The place that *options* describe. Nothing is asked of a store; a folder is made if missing.

    ConfigError names an option that is unknown, missing or wrong.
    """
    check_options(scheme, options)
    if scheme == "fs":
        return await _folder(options["root"], transfer)
    name = options.get("bucket") or options.get("container") or scheme
    rest = {key: value for key, value in options.items() if value}
    root = ""
    if scheme in MAKERS or scheme == "memory":
        # A prefix of keys: the engine would let '..' lead out of it.
        root = tree_prefix(rest.pop("root", "").strip("/"), KeyRules(), bucket=name)
    elif ".." in rest.get("root", "").split("/"):
        raise ConfigError(f"the option 'root' of the scheme {scheme!r} must not hold '..'")
    make = MAKERS.get(scheme)
    provider = None if make is None else make(name, rest, transfer)
    if provider is not None:
        rest = {**_DEFAULTS.get(scheme, {}), **rest, **_SETTLED.get(scheme, {})}
    engine = Engine(scheme, rest, bucket=name, limits=transfer)
    if provider is None:
        provider = ObjectProvider(
            bucket_of(name, Bucket.Provider(scheme)),
            engine,
            rules=KeyRules(),
            transfer=transfer,
            direct=False,
        )
    rooted = RootedProvider(provider, root) if root else provider
    return SchemeService(scheme, rooted, engine, root, _signer(scheme, rest, name))


# What the provider of a bucket takes for granted, so that both mean the same.
_DEFAULTS: Mapping[str, Mapping[str, str]] = {"s3": {"region": "us-east-1"}}
_SETTLED: Mapping[str, Mapping[str, str]] = {
    "s3": {
        "disable_config_load": "true",
        "disable_ec2_metadata": "true",
        "checksum_algorithm": "crc32c",
    },
    "gcs": {"disable_config_load": "true", "disable_vm_metadata": "true"},
}


def _signer(scheme: str, options: Mapping[str, str], name: str) -> Sign | None:
    if scheme == "azblob":
        # The engine's URLs grant everything for an hour, whatever they are asked for.
        fields = azure_fields(options)
        if not azure.is_account_key(fields.get("credential", "")):
            return None
        return partial(_sign_azure, azure_access(bucket_of(name, Bucket.Provider.AZURE), fields))
    if scheme == "gcs" and not options.get("credential"):
        return None  # only the key of a service account signs
    # Nobody knows the checksum of what others will send.
    asked = {option: value for option, value in options.items() if option != "checksum_algorithm"}
    engine = Engine(scheme, asked, bucket=name)

    async def sign(operation: str, key: str, seconds: int) -> PresignedRequest:
        return await engine.presign(operation, key, seconds, key)

    return sign


async def _sign_azure(
    access: AzureAccess, operation: str, key: str, seconds: int
) -> PresignedRequest:
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    query = azure.blob_sas(
        *(access.account, access.key or "", access.container, key),
        until=until,
        https=access.https,
        permissions="cw" if operation == "write" else "r",
    )
    method = {"stat": "HEAD", "read": "GET", "write": "PUT"}[operation]
    return PresignedRequest(
        url=f"{access.endpoint}/{quote(access.container)}/{azure.url_path(key)}?{query}",
        method=method,
        headers={"x-ms-blob-type": "BlockBlob"} if operation == "write" else {},
    )


class _FolderService(SchemeService):
    def __init__(self, root: str, provider: Provider) -> None:
        super().__init__("fs", provider, Engine("fs", {"root": root}, bucket=root), "", None)
        self._folder = root

    async def details(self, key: str) -> Metadata:
        # The disk has no tags; the provider makes its own, which tell versions apart.
        blob = await self.provider.head(key)
        return (await super().details(key)).model_copy(update={"etag": blob.etag})

    async def close(self) -> None:
        await super().close()
        await asyncio.to_thread(self._tidy)

    def _tidy(self) -> None:
        # A folder for what is being written is of no use to its owner.
        inside = os.path.join(self._folder, LOCAL_INTERNAL)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.join(inside, "writing"))
            os.rmdir(inside)


async def _folder(root: str, transfer: TransferConfig) -> SchemeService:
    if not PurePath(root).is_absolute():
        raise ConfigError(f"the option 'root' of the scheme 'fs' must be absolute, not {root!r}")
    root = str(local_path(root))
    try:
        await asyncio.to_thread(os.makedirs, root, exist_ok=True)
    except OSError as cause:
        raise local_error(cause, root) from cause
    return _FolderService(root, open_kind(root, Bucket.Provider.LOCAL, {"root": root}, transfer))
