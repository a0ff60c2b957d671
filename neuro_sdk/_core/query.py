"""Names of blobs in SQL, and what a query gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = [
    "Piece",
    "QueryResult",
    "from_engine",
    "is_blob_name",
    "other_names",
    "pieces_of",
    "to_engine",
    "with_engine_names",
    "without_parameters",
]

# The engine knows our names by "blob://" only; no cluster can be called ".".
_SHORT = "blob://./"
_BEFORE_TABLES = frozenset({"FROM", "JOIN", "TABLE", "DESCRIBE", "SUMMARIZE", "PIVOT", "UNPIVOT"})
_FUNCTIONS = frozenset(
    {
        "glob",
        "parquet_bloom_probe",
        "parquet_file_metadata",
        "parquet_full_metadata",
        "parquet_kv_metadata",
        "parquet_metadata",
        "parquet_scan",
        "parquet_schema",
        "read_blob",
        "read_csv",
        "read_csv_auto",
        "read_json",
        "read_json_auto",
        "read_json_objects",
        "read_json_objects_auto",
        "read_ndjson",
        "read_ndjson_auto",
        "read_ndjson_objects",
        "read_parquet",
        "read_text",
        "sniff_csv",
    }
)


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The rows that a query gave; iterating gives them one by one."""

    columns: tuple[str, ...]
    """The names of the columns."""
    rows: Sequence[tuple[Any, ...]]
    """One tuple for each row, in the order of the query."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class Piece(NamedTuple):
    """A token of SQL and the blanks behind it; *kind* is what the engine calls it."""

    kind: str
    text: str


def is_blob_name(name: str) -> bool:
    """True for what is meant as a ``blob:`` URI."""
    return name[:5].lower() == "blob:"


def to_engine(uri: str) -> str:
    """A ``blob:`` URI as the engine takes it."""
    rest = uri[5:]
    if rest.startswith("//"):
        return f"blob:{rest}"
    return f"blob://{rest}" if rest.startswith("/") else _SHORT + rest


def from_engine(name: str) -> str:
    """The URI again."""
    return f"blob:{name.removeprefix(_SHORT)}" if name.startswith(_SHORT) else name


def pieces_of(sql: str, tokens: Sequence[tuple[int, str]]) -> list[Piece]:
    """*sql* cut at its *tokens*, each given by the byte at which it begins and its kind."""
    raw = sql.encode()
    ends = [start for start, _ in tokens[1:]] + [len(raw)]
    head = [Piece("comment", raw[: tokens[0][0] if tokens else len(raw)].decode())]
    return head + [
        Piece(kind, raw[start:end].decode())
        for (start, kind), end in zip(tokens, ends, strict=True)
    ]


def with_engine_names(pieces: Sequence[Piece]) -> list[Piece]:
    """With the names of blobs as the engine's, where a table or an argument of
    a function that reads files stands.

    All other text stays as it is, also strings that look like names.
    """
    told, depth, last = [], 0, ""
    for piece in pieces:
        text = piece.text.strip()
        if depth:
            depth += (text == "(") - (text == ")")
        elif text == "(" and last.lower().strip('"') in _FUNCTIONS:
            depth = 1
        if _names_blob(piece) and (last.upper() in _BEFORE_TABLES or (depth and text[0] == "'")):
            at = piece.text.index(text[0]) + 1
            piece = Piece(piece.kind, piece.text[:at] + to_engine(piece.text[at:]))
        told.append(piece)
        last = text if piece.kind != "comment" else last
    return told


def other_names(pieces: Sequence[Piece]) -> set[str]:
    """What looks like a name of ours still: tables behind a comma, or text."""
    found = (piece.text.strip() for piece in pieces if _names_blob(piece))
    names = {text[1:-1].replace(text[0] * 2, text[0]) for text in found}
    return {name for name in names if to_engine(name) != name}


def _names_blob(piece: Piece) -> bool:
    kinds = ("string_const", "identifier")
    return piece.kind in kinds and is_blob_name(piece.text.strip()[1:])


def without_parameters(pieces: Sequence[Piece]) -> str:
    """The text with NULL in the places of ``?``, ``?1``, ``$1`` and ``$name``."""
    told, marked = [], ""
    for piece in pieces:
        mark, marked = marked, ""
        if piece.kind == "operator" and piece.text.strip() in ("?", "$"):
            marked = piece.text
            told.append("NULL ")
        elif mark == "$" or (mark == "?" and piece.kind == "numeric_const"):
            continue
        else:
            told.append(piece.text)
    return "".join(told)
