"""One small interface for S3 clients, and drivers that have it."""

from .base import BaseS3Driver, answers
from .dummy import DummyDriver
from .opendal import OpendalS3Driver
from .registry import GROUP, driver_names, get_driver, register_driver
from .s5cmd import S5cmdDriver

__all__ = [
    "GROUP",
    "BaseS3Driver",
    "DummyDriver",
    "OpendalS3Driver",
    "S5cmdDriver",
    "answers",
    "driver_names",
    "get_driver",
    "register_driver",
]
