"""DuckDB, and nothing else of ours imports it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from .._core.query import (
    QueryResult,
    other_names,
    pieces_of,
    to_engine,
    with_engine_names,
    without_parameters,
)
from ..errors import IllegalArgumentError
from .blobs import QueriedBlobs

try:
    import duckdb

    from .files import BlobFileSystem
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "queries need DuckDB, fsspec and pyarrow: pip install 'neuro-blob-sdk[query]'",
        name=_missing.name,
    ) from _missing

__all__ = ["Parameters", "Query"]

Parameters = Sequence[object] | Mapping[str, object]

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
}
# The one that locks is the last: no statement can take any of this back from then on.
_LOCKS = (
    "SET python_enable_replacements = false",  # variables of the program are no tables
    "SET temp_directory = ''",
    "SET disabled_filesystems = 'LocalFileSystem'",
    "SET lock_configuration = true",
)
_READING = frozenset({"EXPLAIN", "MULTI", "SELECT"})  # MULTI is what PIVOT becomes


class Query:
    """A database in memory that can read the blobs and nothing else. Every method blocks."""

    def __init__(self, blobs: QueriedBlobs) -> None:
        self._connection: Any = duckdb.connect(":memory:", config=_CONFIG)
        self._connection.register_filesystem(BlobFileSystem(blobs))
        for statement in _LOCKS:
            self._connection.execute(statement)

    def rows(self, sql: str, parameters: Parameters) -> QueryResult:
        """Run one statement; raises DuckDB's own errors."""
        done = self._connection.execute(self._prepared(sql), parameters or None)
        columns = tuple(column[0] for column in done.description or ())
        return QueryResult(columns, done.fetchall())

    def table(self, sql: str, parameters: Parameters) -> Any:
        """The same as a ``pyarrow.Table``."""
        found = self._connection.sql(self._prepared(sql), params=parameters or None)
        return found.to_arrow_table()

    def _prepared(self, sql: str) -> str:
        """*sql* as it is run, when what it needs for the names of blobs is there."""
        statements = self._connection.extract_statements(sql)
        if len(statements) != 1:
            raise IllegalArgumentError(f"a query is one statement, not {len(statements)}")
        kind = statements[0].type.name
        if kind not in _READING:
            raise IllegalArgumentError(f"a query only reads; {kind} is no statement for it")
        tokens = [(start, kind.name) for start, kind in duckdb.tokenize(sql)]
        pieces = with_engine_names(pieces_of(sql, tokens))
        others = other_names(pieces)
        if others:
            # Only the engine can tell which of them stand for tables. It is not told all at once,
            # for a text may be both; and what it cannot look at runs into its own error below.
            tables: set[str] = set()
            with contextlib.suppress(duckdb.Error):
                tables = set(self._connection.get_table_names(without_parameters(pieces)))
            for name in others & tables:
                view, file = name.replace('"', '""'), to_engine(name).replace("'", "''")
                self._connection.execute(f"CREATE TEMP VIEW \"{view}\" AS FROM '{file}'")
        return "".join(piece.text for piece in pieces)

    def interrupt(self) -> None:
        """End what runs in another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()
