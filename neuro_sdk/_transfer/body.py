"""What callers may give as the body of a blob, brought to one shape."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing

__all__ = ["Body", "gathered", "normalised"]

Body = bytes | bytearray | memoryview | AsyncIterable[bytes] | Callable[[], AsyncIterable[bytes]]


def normalised(body: Body, key: str) -> bytes | AsyncGenerator[bytes, None]:
    """*body* as bytes, or as an async generator of bytes that raises TypeError at a wrong chunk.

    Takes bytes-like objects, async iterables of them, and async generator functions without
    parameters, which are called and closed. TypeError names the *key*.
    """
    if isinstance(body, bytes):
        return body
    if isinstance(body, (bytearray, memoryview)):
        return bytes(body)
    if not isinstance(body, AsyncIterable) and inspect.isasyncgenfunction(body):
        made: AsyncGenerator[bytes, None] = body()
        return _closing(made, key)
    if isinstance(body, AsyncIterable):
        return _checked(body, key)
    hint = "encode it" if isinstance(body, str) else "read it, or wrap it in an async generator"
    raise TypeError(
        f"the body of {key!r} must be bytes or an async iterable of bytes, "
        f"not {type(body).__name__}; {hint}"
    )


async def _closing(made: AsyncGenerator[bytes, None], key: str) -> AsyncGenerator[bytes, None]:
    async with aclosing(made), aclosing(_checked(made, key)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _checked(chunks: AsyncIterable[bytes], key: str) -> AsyncGenerator[bytes, None]:
    async for chunk in chunks:
        if isinstance(chunk, bytes):
            yield chunk
        elif isinstance(chunk, (bytearray, memoryview)):
            yield bytes(chunk)
        else:
            raise TypeError(
                f"the body of {key!r} gave a chunk of {type(chunk).__name__}; all must be bytes"
            )


async def gathered(chunks: AsyncIterator[bytes], least: int) -> AsyncGenerator[bytes, None]:
    """The same bytes in pieces of *least* bytes or more, but for the last; none is empty."""
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        if not chunk:
            continue
        held.append(chunk)
        size += len(chunk)
        if size >= least:
            piece = held[0] if len(held) == 1 else b"".join(held)
            held, size = [], 0
            yield piece
    if held:
        yield b"".join(held)
