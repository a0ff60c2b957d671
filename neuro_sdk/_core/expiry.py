"""When temporary credentials and signed URLs end, and when to ask for new ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from ..errors import ConfigError, IllegalArgumentError

__all__ = ["check_link_seconds", "expiry_of", "renewal_time"]

_FIELDS = ("expiration", "expiry", "expire_time")  # S3, Azure, GCS
_MARGIN = 600.0
_LONGEST_LINK = 7 * 24 * 3600


def expiry_of(credentials: Mapping[str, str]) -> datetime | None:
    """The end of *credentials*, with time zone, or None for those that last."""
    for name in _FIELDS:
        text = credentials.get(name)
        if text:
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                raise ConfigError(
                    f"the field {name!r} of the credentials is no ISO 8601 time"
                ) from None
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None


def renewal_time(now: float, expiry: float) -> float:
    """When to renew credentials got at *now* that end at *expiry*, all in seconds.

    Ten minutes before the end, but not in the first three quarters of a shorter life.
    """
    return max(expiry - _MARGIN, now + 0.75 * (expiry - now))


def check_link_seconds(expires_in: object) -> None:
    """Raise IllegalArgumentError unless a signed URL can be good for so long."""
    if type(expires_in) is not int or not 1 <= expires_in <= _LONGEST_LINK:
        raise IllegalArgumentError(
            f"expires_in must be a whole number of seconds from 1 to {_LONGEST_LINK}"
        )
