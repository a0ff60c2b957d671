"""The tree of errors is the one drawn, and each error keeps what it says."""

from __future__ import annotations

import builtins
import copy
import errno
import pickle
import re

import pytest

from neuro_sdk import errors
from neuro_sdk.errors import BlobNotFound, LocalError, NeuroError, TransferError

TREE: list[type[NeuroError]] = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, NeuroError)
]


def _drawn() -> dict[str, list[str]]:
    """Name of each class of the drawing and its bases, the one above it first."""
    bases: dict[str, list[str]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│ ├└─]*)(\w+)(?: \((\w+)\))?", line)
        if found is None:
            continue
        depth = len(found[1]) // 4
        del above[depth:]
        bases[found[2]] = [*above[-1:], *filter(None, [found[3]])]
        above.append(found[2])
    return bases


def test_the_drawing_is_the_tree() -> None:
    assert len(TREE) > 30
    assert _drawn() == {
        kind.__name__: [base.__name__ for base in kind.__bases__ if base is not Exception]
        for kind in TREE
    }
    assert {kind.__name__ for kind in TREE} == set(errors.__all__)
    assert all(kind.__doc__ for kind in TREE)


@pytest.mark.parametrize("kind", TREE)
def test_an_error_says_what_it_is_about(kind: type[NeuroError]) -> None:
    error = kind("it went wrong", bucket="photos", key="a'b\n")
    assert str(error) == "it went wrong (bucket 'photos', key \"a'b\\n\")"
    assert str(kind("it went wrong")) == "it went wrong"
    assert str(kind("it went wrong", bucket="photos")) == "it went wrong (bucket 'photos')"
    assert (error.message, error.bucket, error.key) == ("it went wrong", "photos", "a'b\n")
    assert kind.__name__ in repr(error)


@pytest.mark.parametrize("kind", TREE)
def test_an_error_survives_pickle_and_copy(kind: type[NeuroError]) -> None:
    error = kind("it went wrong", bucket="photos", key="a/b")
    error.add_note("a note")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert again.args == error.args
        assert vars(again) == vars(error)
        assert str(again) == str(error)


@pytest.mark.parametrize("kind", TREE)
def test_builtins_catch_it(kind: type[NeuroError]) -> None:
    for base in kind.__mro__:
        if base.__name__ in vars(builtins) and issubclass(base, Exception):
            with pytest.raises(base):
                raise kind("it went wrong")


def test_a_missing_blob_is_a_missing_file() -> None:
    try:
        raise BlobNotFound("no such blob", bucket="photos", key="a")
    except FileNotFoundError as error:
        assert error.errno is None  # noqa: PT017


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, errors.LocalNotFound),
        (errno.EISDIR, errors.LocalIsADirectory),
        (errno.ENOTDIR, errors.LocalNotADirectory),
        (errno.EACCES, errors.LocalPermissionDenied),
        (errno.EPERM, errors.LocalPermissionDenied),
        (errno.EROFS, errors.LocalPermissionDenied),
        (errno.ENOSPC, errors.LocalDiskFull),
        (errno.EDQUOT, errors.LocalDiskFull),
        (errno.EFBIG, errors.LocalDiskFull),
        (errno.EIO, LocalError),
    ],
)
def test_errors_of_the_local_disk(number: int, kind: type[LocalError]) -> None:
    error = errors.local_error(OSError(number, "the reason", "elsewhere"), "/a b")
    assert type(error) is kind
    assert (error.errno, error.filename) == (number, "/a b")
    assert str(error) == "the reason: '/a b'"
    assert errors.local_error(error, "/c") is error
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (str(again), again.errno, again.filename) == (str(error), number, "/a b")


def test_an_os_error_without_a_number() -> None:
    assert str(errors.local_error(OSError("odd"), "/a")) == "odd: '/a'"
    assert str(errors.local_error(OSError(), "/a")) == "OSError: '/a'"


def test_a_transfer_error_names_what_failed() -> None:
    cause = BlobNotFound("no such blob", bucket="photos", key="a")
    error = TransferError("1 of 3 failed", failures=[("a", cause)], failed=1, done=2, bucket="b")
    for again in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (again.failed, again.done, again.bucket) == (1, 2, "b")
        assert [(path, str(why)) for path, why in again.failures] == [("a", str(cause))]
