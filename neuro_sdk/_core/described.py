"""What a session tells of paths, requests and stores: models with documented fields."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Capability", "EntryMode", "Metadata", "PresignedRequest"]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class EntryMode(_Told):
    """Whether a path is a file or a directory."""

    entry_is_file: bool
    """A file: it has bytes."""
    entry_is_dir: bool
    """A directory: others lie below it."""

    def is_file(self) -> bool:
        """True for a file."""
        return self.entry_is_file

    def is_dir(self) -> bool:
        """True for a directory."""
        return self.entry_is_dir


class Metadata(_Told):
    """What a store tells of one path; None where it tells nothing."""

    mode: EntryMode
    """File or directory."""
    content_length: int
    """Size in bytes; 0 for a directory."""
    content_type: str | None = None
    """The media type."""
    content_disposition: str | None = None
    """How a browser is to present it."""
    content_md5: str | None = None
    """MD5 of the bytes, in base64."""
    etag: str | None = None
    """Tag of this version."""
    last_modified: datetime | None = None
    """When it was written, with time zone."""
    user_metadata: dict[str, str] | None = None
    """Names and values that its writer gave."""


class PresignedRequest(_Told):
    """A request that anybody may send until it expires, so its URL is not part of the repr."""

    url: str = Field(repr=False)
    """Where to send it."""
    method: str
    """The HTTP method: GET, HEAD or PUT."""
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """Headers that must be sent with it."""


class Capability(_Told):
    """What can be done at a place, by its store or by what is done for it here."""

    stat: bool = True
    """Tell of one path."""
    read: bool = True
    """Read bytes."""
    write: bool = True
    """Write a file, whole or not at all."""
    append: bool = True
    """Add to a file; it is written anew for that."""
    create_dir: bool = True
    """Make a directory."""
    delete: bool = True
    """Remove a file."""
    list: bool = True
    """List what is in a directory."""
    server_copy: bool = True
    """Copy without the bytes passing through this machine."""
    rename: bool = True
    """Rename; it is a copy and a removal."""
    presign: bool = False
    """Any of the three below."""
    presign_stat: bool = False
    """Sign a request that looks."""
    presign_read: bool = False
    """Sign a request that reads."""
    presign_write: bool = False
    """Sign a request that writes."""
    write_with_user_metadata: bool = False
    """Keep names and values beside the bytes, which the S3 drivers use."""
