"""Runs a load test: one thread for each user, on whatever driver."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from ..s3.base import BaseS3Driver
from ..s3.registry import get_driver
from .figures import Figures, LoadResult, Timeline
from .plan import OPERATIONS, LoadPlan

__all__ = ["run_load"]

_BLOCK = 1 << 20
_LISTED = 100
_TELL = 0.5  # seconds


def run_load(
    driver: str,
    config: Mapping[str, Any],
    plan: LoadPlan,
    *,
    stop: threading.Event | None = None,
    progress: Callable[[LoadResult], None] | None = None,
) -> LoadResult:
    """Try the driver called *driver* with *config* as *plan* says; what it made is removed.

    What is read is compared with what was written. Setting *stop* ends the test early. *progress*
    is called in the caller's thread about twice a second. Raises what the constructor of the
    driver raises; operations that fail are counted.
    """
    made = get_driver(driver)
    stop = stop or threading.Event()
    with ExitStack() as stack:
        shared = stack.enter_context(made(config)) if made.thread_safe else None
        drivers = [shared or stack.enter_context(made(config)) for _ in range(plan.users)]
        book = _Book(driver, plan)
        prefix = f"load-{uuid.uuid4().hex[:12]}"
        users = [
            _User(used, plan, book, f"{prefix}/{number:04}", number, stop)
            for number, used in enumerate(drivers)
        ]
        _in_threads([user.work for user in users], stop, lambda: _tell(book, progress))
        interrupted = stop.is_set()
        book.end()
        _in_threads([user.tidy for user in users], threading.Event(), lambda: None)
        return book.result(interrupted, sum(len(user.objects) for user in users))


def _tell(book: _Book, progress: Callable[[LoadResult], None] | None) -> None:
    if progress is not None:
        progress(book.result(False, 0))


def _in_threads(
    works: list[Callable[[], None]], stop: threading.Event, meanwhile: Callable[[], None]
) -> None:
    threads = [threading.Thread(target=work, name="neuro-sdk-load") for work in works]
    try:
        for thread in threads:
            thread.start()
        while working := next((thread for thread in threads if thread.is_alive()), None):
            working.join(_TELL)
            if working.is_alive():
                meanwhile()
        meanwhile()
    except BaseException:
        stop.set()
        raise
    finally:
        for thread in threads:
            if thread.ident is not None:
                thread.join()


class _Book:
    """What all users write their figures into."""

    def __init__(self, driver: str, plan: LoadPlan) -> None:
        self._driver = driver
        self._users = plan.users
        self._figures = {name: Figures() for name in (*OPERATIONS, "all")}
        self._timeline = Timeline()
        self._lock = threading.Lock()
        self._left = plan.count
        self._began = time.perf_counter()
        self._deadline = None if plan.duration is None else self._began + plan.duration
        self._elapsed: float | None = None

    def may_begin(self) -> bool:
        """Take one of the operations that are still to be done."""
        if self._deadline is not None and time.perf_counter() >= self._deadline:
            return False
        with self._lock:
            if self._left is None:
                return True
            self._left -= 1
            return self._left >= 0

    def add(self, operation: str, began: float, nbytes: int, failed: bool) -> None:
        now = time.perf_counter()
        with self._lock:
            for name in (operation, "all"):
                self._figures[name].add(now - began, nbytes, failed)
            self._timeline.add(now - self._began, nbytes, failed)

    def end(self) -> None:
        self._elapsed = time.perf_counter() - self._began

    def result(self, interrupted: bool, left: int) -> LoadResult:
        with self._lock:
            elapsed = self._elapsed or time.perf_counter() - self._began
            return LoadResult(
                driver=self._driver,
                users=self._users,
                elapsed=elapsed,
                operations={
                    name: figures.told(elapsed)
                    for name, figures in self._figures.items()
                    if figures.latencies.count or name == "all"
                },
                timeline=self._timeline.told(),
                interrupted=interrupted,
                left=left,
            )


class _User:
    """One who works on objects of its own, so that it knows what each must hold."""

    def __init__(
        self,
        driver: BaseS3Driver,
        plan: LoadPlan,
        book: _Book,
        prefix: str,
        number: int,
        stop: threading.Event,
    ) -> None:
        self._driver = driver
        self._plan = plan
        self._book = book
        self._prefix = prefix
        self._chance = random.Random(f"{plan.seed}/{number}")  # noqa: S311 - no secret
        self._stop = stop
        self._block = self._chance.randbytes(_BLOCK)
        self._made = 0
        self.objects: dict[str, tuple[int, int] | None] = {}
        """Where in the block each begins and its size; None where nobody knows what it holds."""

    def work(self) -> None:
        while not self._stop.is_set() and self._book.may_begin():
            known = [key for key, body in self.objects.items() if body is not None]
            operation = self._plan.choose(self._chance, has_objects=bool(known))
            key = self._chance.choice(known) if known else ""
            if operation == "put":
                self._put(known)
                continue
            began = time.perf_counter()
            done, nbytes = getattr(self, f"_{operation}")(key)
            self._book.add(operation, began, nbytes, not done)

    def _put(self, known: list[str]) -> None:
        if len(self.objects) >= self._plan.objects:
            key = self._chance.choice(known or list(self.objects))
        else:
            key = f"{self._prefix}/{self._made:08}"
            self._made += 1
        start = self._chance.randrange(_BLOCK)
        size = self._plan.sizes.choose(self._chance)
        body = self._body(start, size)
        self.objects[key] = None
        began = time.perf_counter()
        done = self._driver.upload(key, body)
        self._book.add("put", began, size if done else 0, not done)
        if done:
            self.objects[key] = (start, size)

    def _body(self, start: int, size: int) -> bytes:
        whole = self._block[start:] + self._block[:start]
        return (whole * (size // _BLOCK + 1))[:size]

    def _get(self, key: str) -> tuple[bool, int]:
        body = self.objects[key]
        assert body is not None
        data = self._driver.download(key)
        return data is not None and data == self._body(*body), len(data or b"")

    def _head(self, key: str) -> tuple[bool, int]:
        body = self.objects[key]
        assert body is not None
        told = self._driver.head_object(key)
        return told is not None and told.get("size") == body[1], 0

    def _list(self, key: str) -> tuple[bool, int]:
        del key
        keys = self._driver.list_objects(f"{self._prefix}/", _LISTED)
        known = sum(body is not None for body in self.objects.values())
        return set(keys) <= self.objects.keys() and len(keys) >= min(known, _LISTED), 0

    def _delete(self, key: str) -> tuple[bool, int]:
        self.objects[key] = None
        done = self._driver.delete(key)
        if done:
            del self.objects[key]
        return done, 0

    def tidy(self) -> None:
        """Remove what is left; ``objects`` has what could not be."""
        for key in list(self.objects):
            if self._driver.delete(key):
                del self.objects[key]
