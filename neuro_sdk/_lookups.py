"""What buckets a client has looked up, for a short while."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from ._core.models import Bucket
from ._core.uri import Scope

__all__ = ["Lookups"]

_MOST = 1024


class Lookups:
    """Buckets by id or name and scope, each for *life* seconds; 0 keeps none.

    Callers who ask for the same at once share one answer.
    """

    def __init__(self, life: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._life = life
        self._clock = clock
        self._known: OrderedDict[tuple[str, Scope], tuple[Bucket, float]] = OrderedDict()
        self._asking: dict[tuple[str, Scope], asyncio.Lock] = {}

    async def find(
        self, id_or_name: str, scope: Scope, ask: Callable[[], Awaitable[Bucket]]
    ) -> Bucket:
        """The bucket as it was seen last, or as *ask* finds it."""
        if not self._life:
            return await ask()
        key = (id_or_name, scope)
        lock = self._asking.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                known = self._known.get(key)
                if known is not None and self._clock() < known[1]:
                    return known[0]
                bucket = await ask()
                self.keep(id_or_name, scope, bucket)
                return bucket
        finally:
            if not lock.locked():
                self._asking.pop(key, None)

    def keep(self, id_or_name: str, scope: Scope, bucket: Bucket) -> None:
        """Remember what was seen just now."""
        if not self._life:
            return
        self._known[id_or_name, scope] = (bucket, self._clock() + self._life)
        self._known.move_to_end((id_or_name, scope))
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def forget(self, bucket_id: str) -> None:
        """Ask again for this bucket, whatever it was looked up by."""
        for key in [key for key, (bucket, _) in self._known.items() if bucket.id == bucket_id]:
            del self._known[key]
