"""Drivers by their names: ours, those that a program registers, those of installed packages."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TypeVar, overload

from ...errors import IllegalArgumentError
from .base import BaseS3Driver
from .dummy import DummyDriver
from .opendal import OpendalS3Driver
from .s5cmd import S5cmdDriver

__all__ = ["GROUP", "driver_names", "get_driver", "register_driver"]

GROUP = "neuro_sdk.s3_drivers"
"""The group of entry points in which packages offer drivers."""

_registered: dict[str, type[BaseS3Driver]] = {
    "dummy": DummyDriver,
    "opendal": OpendalS3Driver,
    "s5cmd": S5cmdDriver,
}
C = TypeVar("C", bound=type[BaseS3Driver])


@overload
def register_driver(name: str) -> Callable[[C], C]: ...


@overload
def register_driver(name: str, driver: C) -> C: ...


def register_driver(name: str, driver: C | None = None) -> C | Callable[[C], C]:
    """Have *driver* be found as *name* in this process; without it, a decorator of the class.

    A driver of that name is replaced. IllegalArgumentError, a ValueError, for what is no driver.
    """
    if driver is None:
        return lambda decorated: register_driver(name, decorated)
    if not name or not isinstance(name, str):
        raise IllegalArgumentError("the name of a driver is text and not empty")
    _check(name, driver)
    _registered[name] = driver
    return driver


def get_driver(name: str) -> type[BaseS3Driver]:
    """The class called *name*: ``get_driver("opendal")(config)`` makes a driver.

    IllegalArgumentError, a ValueError, names those that there are.
    """
    if name in _registered:
        return _registered[name]
    for point in entry_points(group=GROUP, name=name):
        found = point.load()
        _check(name, found)
        driver: type[BaseS3Driver] = found
        return driver
    raise IllegalArgumentError(
        f"there is no S3 driver {name!r}; known are: {', '.join(driver_names())}"
    )


def driver_names() -> list[str]:
    """The names of all drivers that there are."""
    return sorted(_registered.keys() | {point.name for point in entry_points(group=GROUP)})


def _check(name: str, driver: object) -> None:
    if not isinstance(driver, type) or not issubclass(driver, BaseS3Driver):
        raise IllegalArgumentError(f"the S3 driver {name!r} is no subclass of BaseS3Driver")
