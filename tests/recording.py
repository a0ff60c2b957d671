"""Progress callbacks that keep what they are told and know what is promised."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

from yarl import URL

from neuro_sdk import (
    AbstractDeleteProgress,
    AbstractFileProgress,
    AbstractRecursiveFileProgress,
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)

__all__ = ["DeleteRecorder", "Event", "FileRecorder", "TreeRecorder", "check_events", "kind_of"]

Event = (
    StorageProgressStart
    | StorageProgressStep
    | StorageProgressComplete
    | StorageProgressEnterDir
    | StorageProgressLeaveDir
    | StorageProgressFail
    | StorageProgressDelete
)


class FileRecorder(AbstractFileProgress):
    """Keeps the events of one file; *then* is called with each."""

    def __init__(self, then: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self.threads: set[int] = set()
        self._then = then

    @property
    def kinds(self) -> list[str]:
        """The events by name: ``start``, ``enterdir``."""
        return [kind_of(event) for event in self.events]

    def of(self, kind: str) -> list[Event]:
        """The events of one kind."""
        return [event for event in self.events if kind_of(event) == kind]

    def note(self, event: Event) -> None:
        self.threads.add(threading.get_ident())
        self.events.append(event)
        if self._then is not None:
            self._then(event)

    def start(self, data: StorageProgressStart) -> None:
        self.note(data)

    def step(self, data: StorageProgressStep) -> None:
        self.note(data)

    def complete(self, data: StorageProgressComplete) -> None:
        self.note(data)


class TreeRecorder(FileRecorder, AbstractRecursiveFileProgress):
    """Keeps the events of a tree."""

    def enter(self, data: StorageProgressEnterDir) -> None:
        self.note(data)

    def leave(self, data: StorageProgressLeaveDir) -> None:
        self.note(data)

    def fail(self, data: StorageProgressFail) -> None:
        self.note(data)


class DeleteRecorder(AbstractDeleteProgress):
    """Keeps the events of a removal."""

    def __init__(self, then: Callable[[Event], None] | None = None) -> None:
        self.events: list[StorageProgressDelete] = []
        self._then = then

    def delete(self, data: StorageProgressDelete) -> None:
        self.events.append(data)
        if self._then is not None:
            self._then(data)


def kind_of(event: Event) -> str:
    """``start``, ``step``, ``complete``, ``enterdir``, ``leavedir``, ``fail`` or ``delete``."""
    return type(event).__name__.removeprefix("StorageProgress").lower()


def check_events(events: Sequence[Event]) -> Counter[str]:
    """Hold the events of a tree to what the callback classes promise; count them by kind.

    For each file: start once, growing steps that end at the size, complete once or fail once
    and nothing after it. All of it between the enter and the leave of each folder above it,
    which come once each.
    """
    sizes: dict[URL, int] = {}
    current: dict[URL, int] = {}
    ended: set[URL] = set()
    entered: dict[str, bool] = {}  # True while it is not left
    pairs: dict[URL, URL] = {}
    if events:
        assert isinstance(events[0], StorageProgressEnterDir)
        assert isinstance(events[-1], StorageProgressLeaveDir)
    for event in events:
        assert not isinstance(event, StorageProgressDelete)
        assert pairs.setdefault(event.src, event.dst) == event.dst
        src = str(event.src).removesuffix("/")
        if isinstance(event, StorageProgressEnterDir):
            assert src not in entered, f"{src} is entered twice"
            entered[src] = True
            _check_above(src, entered)
            continue
        if isinstance(event, StorageProgressLeaveDir):
            assert entered[src], f"{src} is left twice"
            entered[src] = False
            open_below = [path for path, is_open in entered.items() if is_open and _in(path, src)]
            assert not open_below, f"{src} is left before {open_below}"
            under_way = [url for url in sizes.keys() - ended if _in(str(url), src)]
            assert not under_way, f"{src} is left before {under_way}"
            continue
        _check_above(src, entered)
        assert event.src not in ended, f"{event} comes after the end"
        match event:
            case StorageProgressStart(size=size):
                assert event.src not in sizes, f"{event.src} starts twice"
                sizes[event.src], current[event.src] = size, 0
            case StorageProgressStep(current=done, size=size):
                assert size == sizes[event.src]
                assert current[event.src] < done <= size
                current[event.src] = done
            case StorageProgressComplete(size=size):
                assert size == sizes[event.src]
                assert current[event.src] == size, f"{event.src}: {current[event.src]} of {size}"
                ended.add(event.src)
            case StorageProgressFail(message=message):
                assert message
                ended.add(event.src)
    assert not any(entered.values()), "a folder was not left"
    assert not sizes.keys() - ended, "a file did not end"
    return Counter(kind_of(event) for event in events)


def _in(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def _check_above(src: str, entered: dict[str, bool]) -> None:
    for folder, is_open in entered.items():
        assert is_open or not _in(src, folder), f"{src} comes after {folder} is left"
    if entered:
        root = next(iter(entered))
        above = src.rpartition("/")[0]
        while _in(src, root) and len(above) >= len(root):
            assert above in entered, f"{src} comes before {above} is entered"
            above = above.rpartition("/")[0]
