"""Drivers: a session at any store that OpenDAL knows, and one interface for S3 clients.

:class:`OpendalDriver` works on files and directories and can take away what it made. The S3
drivers are in ``neuro_sdk.drivers.s3``, the load test that runs them in ``neuro_sdk.drivers.load``.
"""

from .._core.described import Capability, EntryMode, Metadata, PresignedRequest
from .._session.file import OpendalFile
from .._session.session import Session
from .config import OpendalConfig
from .opendal import OpendalDriver
from .sync import SyncOpendalDriver, SyncOpendalFile

__all__ = [
    "Capability",
    "EntryMode",
    "Metadata",
    "OpendalConfig",
    "OpendalDriver",
    "OpendalFile",
    "PresignedRequest",
    "Session",
    "SyncOpendalDriver",
    "SyncOpendalFile",
]
