"""fsspec: buckets and blobs as files, for pandas, pyarrow, DuckDB, Dask and whoever asks fsspec.

``BlobFileSystem`` has the protocol ``blob``. Paths are ``BUCKET/KEY`` and ``blob://BUCKET/KEY``
with the key as it is, never decoded; ``blob:BUCKET/KEY`` is the URI of the rest of this package,
which is percent-decoded.
"""

try:
    import fsspec as _fsspec  # noqa: F401
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "BlobFileSystem needs fsspec: pip install 'neuro-blob-sdk[fsspec]'", name=_missing.name
    ) from _missing

from ._files import BlobFile, BlobStream
from ._system import BlobFileSystem

__all__ = ["BlobFile", "BlobFileSystem", "BlobStream"]
