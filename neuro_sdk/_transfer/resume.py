"""What is known of uploads that may be taken up again, in small files of this user."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from .disk import Handle, lock

__all__ = ["UploadRecord"]


class UploadRecord(Handle):
    """The record of one file on its way to one key: a line for the upload, one for each part.

    It is locked while in use, so that of two processes only one goes on with an upload.
    ``upload`` is None where there is nothing to take up.
    """

    def __init__(self, path: Path, fd: int) -> None:
        super().__init__(fd)
        self._path = path
        self.upload: str | None = None
        self.tags: dict[int, str] = {}

    @classmethod
    def open(
        cls, bucket_id: str, key: str, file: str, content: str, part_size: int
    ) -> UploadRecord | None:
        """The record of this file and key; None while another process has it.

        *content* tells this content of the file from others. Of an upload of another one, or
        in other parts, only ``upload`` is given, to be aborted.
        """
        import platformdirs

        folder = platformdirs.user_state_path("neuro_sdk", appauthor=False) / "uploads"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = hashlib.sha256("\n".join((bucket_id, key, file)).encode(errors="surrogateescape"))
        path = folder / f"{name.hexdigest()}.jsonl"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND, 0o600)
        try:
            if not lock(fd):
                os.close(fd)
                return None
            self = cls(path, fd)
            self._read(content, part_size)
        except BaseException:
            os.close(fd)
            raise
        return self

    def _read(self, content: str, part_size: int) -> None:
        with open(self._fd, "rb", closefd=False) as file:
            lines = file.read().split(b"\n")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            begun = json.loads(lines[0])
            self.upload = str(begun["upload"])
            if (begun["content"], begun["part_size"]) == (content, part_size):
                for line in lines[1:-1]:  # what a kill cut off has no end of line
                    sent = json.loads(line)
                    self.tags[int(sent["part"])] = str(sent["tag"])

    def begin(self, upload: str, content: str, part_size: int) -> None:
        """Forget what was recorded, and record this upload."""
        self.upload, self.tags = upload, {}
        os.ftruncate(self._fd, 0)
        self._add({"upload": upload, "content": content, "part_size": part_size})

    def add(self, number: int, tag: str) -> None:
        """Record a part that the store has."""
        self.tags[number] = tag
        self._add({"part": number, "tag": tag})

    def _add(self, line: Mapping[str, str | int]) -> None:
        os.write(self._fd, json.dumps(line).encode() + b"\n")

    def close(self, *, keep: bool) -> None:
        """Let go of the record; unless *keep* it is removed."""
        if not keep:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        self._close()
