"""What every provider must do: subclass, give a provider of an empty bucket, and it is tried."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from neuro_sdk import BlobChanged, BlobCommonPrefix, BlobNotFound, BlobObject, KeyConflict
from neuro_sdk._core.keys import key_problem
from neuro_sdk._core.parts import SMALL
from neuro_sdk.errors import InvalidKey, NeuroError, StorageError
from neuro_sdk.protocols import Direct, Likely, Provider

from .stores import Store, needs

ODD_KEYS = (
    "with two  spaces inside",
    "100%",
    "%20",
    "%2F%2e%2e",
    "question?mark=1&other",
    "hash#tag",
    "plus+and plus",
    "semi;colon:comma,at@",
    "quote'double\"back`",
    "[set]{brace}(round)<angle>",
    "*star**",
    "pipe|caret^tilde~dollar$exclaim!",
    ".hidden",
    "..hidden/...",
    "a..b/.c./d.",
    "-dash/--",
    "\u00fcml\u00e4ut/\u65e5\u672c\u8a9e/\u043a\u043b\u044e\u0447",
    "nfc \u00e9",
    "nfd e\u0301",
    "\U0001f600/\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "\uff21 before astral in utf-8",
    "UPPER",
    "upper",
    "null",
    "index.html/x",
    "zero\u200bwidth",
    "rtl\u202eoverride",
    "x/" * 100 + "deep",
    "d/" * 511 + "xy",  # 1,024 bytes, as many folders as they can be
    "/".join(["s" * 204] * 5),  # 1,024 bytes
    "/".join(["\u00e9" * 102] * 5),  # 1,024 bytes, half as many characters
)

ODD_PREFIXES = ["/", "//", "a//", "a//b", " ", "a/ ", "a\u3000", "..", "a/../a", "./a", "%61"]
ODD_PREFIXES += ["?", "a?b"]

NEIGHBOURS = ("a b", "a!", "a-b/c", "a.txt", "a/b", "a/b.txt", "a/c/d", "a0", "aa", "ab/c", "b")
"""Keys whose order differs by text and by parts, and whose beginnings are one another's."""

_ALPHABET = ["a", "b", "ab", "A", ".", "-", "_", "~", " ", "+", "%", "?", "#", "&", "=", "0"]
_ALPHABET += ["\u00e9", "e\u0301", "\u65e5", "\U0001f600", "[", "]", "*", "'", "!", "(", ";", ":"]

MIB = 1 << 20


def random_keys(seed: int, count: int, provider: Provider) -> list[str]:
    """Keys the store may hold, none of them a folder of another."""
    chance = random.Random(seed)
    keys: set[str] = set()
    while len(keys) < count:
        parts = [
            "".join(chance.choices(_ALPHABET, k=chance.randint(1, 6)))
            for _ in range(chance.randint(1, 4))
        ]
        key = "/".join(parts)
        if key_problem(key, provider.rules) is None and not any(
            key.startswith(f"{other}/") or other.startswith(f"{key}/") for other in keys
        ):
            keys.add(key)
    return sorted(keys)


def expected(keys: Iterable[str], prefix: str, *, recursive: bool) -> set[tuple[str, bool]]:
    """What a listing shows, with True for what is put together."""
    found = set()
    for key in keys:
        if not key.startswith(prefix):
            continue
        slash = key.find("/", len(prefix))
        if recursive or slash < 0:
            found.add((key, False))
        else:
            found.add((key[: slash + 1], True))
    return found


async def listed(
    provider: Provider,
    prefix: str = "",
    *,
    recursive: bool = True,
    likely: Likely | None = None,
) -> list[tuple[str, bool]]:
    """The listing in its order."""
    return [
        (entry.key, isinstance(entry, BlobCommonPrefix))
        async for page in provider.pages(prefix, recursive=recursive, likely=likely)
        for entry in page
    ]


async def keys_of(provider: Provider, prefix: str = "") -> list[str]:
    return [key for key, _ in await listed(provider, prefix)]


async def read(
    provider: Provider,
    key: str,
    offset: int = 0,
    length: int | None = None,
    *,
    known: BlobObject | None = None,
) -> bytes:
    """The bytes of a fetch, joined."""
    async with aclosing(provider.fetch(key, offset, length, known=known)) as pieces:
        return b"".join([piece async for piece in pieces])


async def small(provider: Provider, key: str) -> bytes:
    """A small blob with one request; the test is skipped where none is saved so."""
    body = await provider.fetch_small(key)
    if body is None and provider.direct is None:
        pytest.skip(f"{provider.bucket.provider}: small blobs are fetched like others")
    assert body is not None
    return body


async def stream(pieces: Sequence[bytes | Exception]) -> AsyncIterator[bytes]:
    """The pieces in turn; an error among them is raised in its place."""
    for piece in pieces:
        if isinstance(piece, Exception):
            raise piece
        yield piece


def check_order(keys: Sequence[str]) -> None:
    """Sorted by the text of keys or part by part; a directory in one run."""
    by_text = sorted(keys, key=str.encode)
    by_parts = sorted(keys, key=lambda key: [part.encode() for part in key.split("/")])
    assert list(keys) in (by_text, by_parts)
    seen: set[str] = set()
    last: list[str] = []
    for key in keys:
        folders = [key[: at + 1] for at, character in enumerate(key) if character == "/"]
        for folder in folders:
            assert folder in last or folder not in seen, f"{folder} comes in two runs"
        seen.update(folders)
        last = folders


def direct_of(provider: Provider) -> Direct:
    """What threads may use; the test is skipped where there is no such thing."""
    if provider.direct is None:
        pytest.skip(f"{provider.bucket.provider}: nothing of it is for threads")
    return provider.direct


class ProviderContract:
    """Subclasses give ``provider``, of an empty bucket, and ``store``, which it is at."""

    @pytest.fixture
    async def provider(self) -> Provider:
        raise NotImplementedError

    # Keys

    async def test_odd_keys_come_back_as_they_went_in(self, provider: Provider) -> None:
        odd_keys = [key for key in ODD_KEYS if key_problem(key, provider.rules) is None]
        assert len(odd_keys) > len(ODD_KEYS) - 5
        bodies = {key: key.encode() for key in odd_keys}
        for key, body in bodies.items():
            assert len(body) <= 1024
            await provider.put(key, body)
        assert sorted(await keys_of(provider)) == sorted(bodies)
        for key, body in bodies.items():
            assert await read(provider, key) == body
            found = await provider.head(key)
            assert (found.key, found.size) == (key, len(body))
            assert await listed(provider, key) == [(key, False)]
            if "/" in key:
                folder = key.rpartition("/")[0] + "/"
                assert await listed(provider, folder, recursive=False) == [(key, False)]
        await provider.copy("nfc \u00e9", "copy/%2F?# \U0001f600")
        assert await read(provider, "copy/%2F?# \U0001f600") == "nfc \u00e9".encode()
        for key in odd_keys[::2]:
            await provider.delete(key)
        failed = await provider.delete_many([*odd_keys[1::2], "copy/%2F?# \U0001f600"])
        assert failed == {}
        assert await keys_of(provider) == []

    async def test_control_characters(self, provider: Provider, store: Store) -> None:
        needs(store, "control characters")
        keys = ["a\x01b", "a\x1fb", "a\nb", "a\tb", "a\x7fb", "a\ufffe"]
        for key in keys:
            await provider.put(key, key.encode())
        assert sorted(await keys_of(provider)) == sorted(keys)
        assert [await read(provider, key) for key in keys] == [key.encode() for key in keys]

    async def test_backslash(self, provider: Provider, store: Store) -> None:
        needs(store, "backslash")
        await provider.put("a\\b/c\\", b"x")
        assert await keys_of(provider) == ["a\\b/c\\"]
        assert await read(provider, "a\\b/c\\") == b"x"

    async def test_long_segments(self, provider: Provider, store: Store) -> None:
        needs(store, "long segments")
        await provider.put("x" * 1024, b"x")
        assert await keys_of(provider) == ["x" * 1024]

    async def test_rules_refuse_what_cannot_be_kept(self, provider: Provider, store: Store) -> None:
        needs(store, "own rules")
        for capability, key in (
            ("control characters", "a\x01b"),
            ("backslash", "a\\b"),
            ("long segments", "x" * 256),
            ("leading star", "*a"),
            ("trailing dots", "a./b"),
            ("trailing dots", "b."),
            ("many segments", "a/" * 300 + "b"),
        ):
            assert (key_problem(key, provider.rules) is None) is (capability not in store.lacks)
        for key in ("", "/a", "a//b", "a/../b", "a/.", " a", "a ", "a\u3000", "x" * 1025, "\ud800"):
            assert key_problem(key, provider.rules) is not None, key

    @pytest.mark.parametrize("seed", range(4))
    async def test_random_keys_against_a_model(self, provider: Provider, seed: int) -> None:
        chance = random.Random(f"model {seed}")
        model = {key: chance.randbytes(9) for key in random_keys(seed, 40, provider)}
        for key, body in model.items():
            await provider.put(key, body)
        listing = await listed(provider)
        assert set(listing) == expected(model, "", recursive=True)
        assert len(listing) == len(model)
        check_order([key for key, _ in listing])
        prefixes = {key[:at] for key in model for at in range(len(key) + 1)}
        for prefix in chance.sample(sorted(prefixes), 40):
            for recursive in (True, False):
                listing = await listed(provider, prefix, recursive=recursive)
                assert set(listing) == expected(model, prefix, recursive=recursive)
                assert len(listing) == len(set(listing))
        gone = chance.sample(sorted(model), 20)
        assert await provider.delete_many(gone) == {}
        for key in gone:
            del model[key]
            with pytest.raises(BlobNotFound):
                await provider.head(key)
        assert set(await listed(provider)) == expected(model, "", recursive=True)
        assert {key: await read(provider, key) for key in model} == model

    async def test_neighbours_in_order(self, provider: Provider) -> None:
        for key in reversed(NEIGHBOURS):
            await provider.put(key, b"x")
        keys = await keys_of(provider)
        assert sorted(keys) == sorted(NEIGHBOURS)
        check_order(keys)

        async def likely(_: int) -> AsyncGenerator[str, None]:
            for key in ("0", "a/b", "a/none", *NEIGHBOURS, "zz"):
                yield key

        for recursive in (True, False):
            listing = await listed(provider, "a", recursive=recursive)
            assert await listed(provider, "a", recursive=recursive, likely=likely) == listing
        for prefix in ("a", "a/", "a/b", "a.", "a/c", "a/c/", "a/x", "ab", "b", "c", "a b"):
            for recursive in (True, False):
                listing = await listed(provider, prefix, recursive=recursive)
                assert set(listing) == expected(NEIGHBOURS, prefix, recursive=recursive)
                assert len(listing) == len(set(listing))

    async def test_odd_prefixes_find_nothing_else(self, provider: Provider) -> None:
        keys = ("a/b", "ab", "..x", ". a", "a b", "a/ b")
        for key in keys:
            await provider.put(key, b"x")
        for prefix, recursive in product(ODD_PREFIXES, (True, False)):
            listing = await listed(provider, prefix, recursive=recursive)
            assert set(listing) == expected(keys, prefix, recursive=recursive), prefix

    async def test_many_pages(self, provider: Provider) -> None:
        keys = [f"{number % 7}/{number:04}" for number in range(1200)]
        slots = asyncio.Semaphore(16)

        async def put(key: str) -> None:
            async with slots:
                await provider.put(key, b"")

        await asyncio.gather(*[put(key) for key in keys])
        found = await keys_of(provider)
        assert sorted(found) == sorted(keys)
        check_order(found)
        assert await listed(provider, recursive=False) == [(f"{n}/", True) for n in range(7)]
        for start in range(0, len(keys), 1000):
            assert await provider.delete_many(keys[start : start + 1000]) == {}
        assert await keys_of(provider) == []

    # One blob

    async def test_missing(self, provider: Provider) -> None:
        await provider.put("there/x", b"x")
        for key in ("gone", "there", "there/", "there/x/y", "there/x/", "ther"):
            with pytest.raises(BlobNotFound) as caught:
                await provider.head(key)
            assert (caught.value.key, caught.value.bucket) == (key, provider.bucket.name)
            if not key.endswith("/"):
                with pytest.raises(BlobNotFound) as caught:
                    await read(provider, key)
                assert (caught.value.key, caught.value.bucket) == (key, provider.bucket.name)
                with pytest.raises(BlobNotFound):
                    await provider.copy(key, "target")
            await provider.delete(key)
        assert await provider.delete_many(["gone", "gone/too", "there"]) == {}
        assert await provider.delete_many([]) == {}
        assert await keys_of(provider) == ["there/x"]

    async def test_head_and_listing_agree(self, provider: Provider) -> None:
        before = datetime.now(UTC) - timedelta(seconds=2)
        await provider.put("a/b", b"12345")
        head = await provider.head("a/b")
        ((entry,),) = [page async for page in provider.pages(recursive=True)]
        assert isinstance(entry, BlobObject)
        assert entry == head
        assert head.bucket == provider.bucket
        assert head.size == 5
        assert head.modified_at is not None
        assert head.modified_at.tzinfo is not None
        assert before <= head.modified_at + provider.grain
        assert head.modified_at <= datetime.now(UTC) + timedelta(seconds=2)

    async def test_replace(self, provider: Provider) -> None:
        for body in (b"first", b"", b"x" * 70_000, b"last"):
            await provider.put("key", body)
            assert await read(provider, "key") == body
            assert (await provider.head("key")).size == len(body)

    async def test_versions_written_in_a_row_have_tags_of_their_own(
        self, provider: Provider
    ) -> None:
        tags = []
        for number in range(20):
            await provider.put("key", b"%02d" % number)
            tags.append((await provider.head("key")).etag)
        assert len(set(tags)) == 20

    async def test_streams(self, provider: Provider) -> None:
        few: list[list[int]] = [[], [0], [1], [0, 3, 0], [700, 700]]
        for sizes in [*few, [MIB] * 3, [9 * MIB], [5 * MIB, 1, 6 * MIB]]:
            pieces = [random.Random(size).randbytes(size) for size in sizes]
            key = f"pieces of {sizes}"
            await provider.put(key, stream(pieces))
            assert await read(provider, key) == b"".join(pieces), sizes
            assert (await provider.head(key)).size == sum(sizes)

    async def test_ranges(self, provider: Provider) -> None:
        for size in (0, 1, 1000, 9 * MIB + 5):
            body, key = random.Random(size).randbytes(size), f"{size}"
            await provider.put(key, body)
            known = await provider.head(key)
            for offset, length in product(
                {0, 1, size // 2, max(0, size - 1), size, size + 1, size + 10**9},
                (None, 0, 1, size // 3, size, size + 1),
            ):
                part = body[offset:] if length is None else body[offset : offset + length]
                assert await read(provider, key, offset, length) == part, (size, offset, length)
                assert await read(provider, key, offset, length, known=known) == part

    async def test_a_fetch_may_be_left_early(self, provider: Provider) -> None:
        await provider.put("key", b"x" * (20 * MIB))
        async with aclosing(provider.fetch("key")) as pieces:
            assert set(await anext(pieces)) == {ord("x")}
        assert len(await read(provider, "key", 19 * MIB)) == MIB

    async def test_copy(self, provider: Provider) -> None:
        body = random.Random(0).randbytes(MIB)
        await provider.put("a", body)
        await provider.put("old/target", b"old")
        await provider.copy("a", "b/c d")
        await provider.copy("a", "old/target")
        assert await read(provider, "b/c d") == await read(provider, "old/target") == body
        assert sorted(await keys_of(provider)) == ["a", "b/c d", "old/target"]

    async def test_concurrent_writers_leave_one_of_them_whole(self, provider: Provider) -> None:
        bodies = [bytes([number]) * (100_000 + number) for number in range(12)]
        await asyncio.gather(
            *[
                provider.put("key", body if number % 2 else stream([body[:7], body[7:]]))
                for number, body in enumerate(bodies)
            ]
        )
        assert await read(provider, "key") in bodies
        assert await keys_of(provider) == ["key"]

    # Directories

    async def test_markers(self, provider: Provider) -> None:
        await provider.put("dir/", b"")
        await provider.put("dir/sub/", b"")
        await provider.put("full/", b"")
        await provider.put("full/x", b"x")
        found = await provider.head("dir/")
        assert (found.key, found.size, found.is_dir()) == ("dir/", 0, True)
        assert await keys_of(provider) == ["dir/", "dir/sub/", "full/", "full/x"]
        level = await listed(provider, recursive=False)
        assert sorted(level) == [("dir/", True), ("full/", True)]
        assert await listed(provider, "dir", recursive=False) == [("dir/", True)]
        level = await listed(provider, "dir/", recursive=False)
        assert sorted(level) == [("dir/", False), ("dir/sub/", True)]
        with pytest.raises(BlobNotFound):
            await provider.head("dir")
        with pytest.raises(InvalidKey):
            await provider.put("data/", b"x")
        with pytest.raises(InvalidKey):
            await provider.put("data/", stream([b""]))
        await provider.delete("full/")
        await provider.delete("dir/")
        assert await keys_of(provider) == ["dir/sub/", "full/x"]
        assert await provider.delete_many(["dir/sub/"]) == {}
        assert await keys_of(provider) == ["full/x"]

    async def test_a_folder_is_gone_with_its_last_blob(
        self, provider: Provider, store: Store
    ) -> None:
        needs(store, "own rules")
        many = [f"{number % 7}/{number}" for number in range(20)]
        for key in ["dir/sub/", "full/", "full/x", *many]:
            await provider.put(key, b"")
        assert await provider.delete_many(["dir/sub/", *many]) == {}
        assert await listed(provider, recursive=False) == [("full/", True)]
        await provider.delete("full/")
        assert await listed(provider, recursive=False) == [("full/", True)]
        await provider.delete("full/x")
        await provider.put("a/b/c", b"x")
        await provider.delete("a/b/c")
        assert await listed(provider, recursive=False) == []
        await provider.put("a", b"now a blob")
        assert await listed(provider, recursive=False) == [("a", False)]
        await provider.delete("a")
        await provider.put("a/b", b"and a folder again")
        assert await keys_of(provider) == ["a/b"]

    async def test_blob_beside_folder(self, provider: Provider, store: Store) -> None:
        needs(store, "blob beside folder")
        await provider.put("a", b"blob")
        await provider.put("a/b", b"below")
        assert set(await listed(provider, recursive=False)) == {("a", False), ("a/", True)}

    async def test_blob_beside_marker(self, provider: Provider, store: Store) -> None:
        needs(store, "blob beside folder")
        needs(store, "own rules")
        await provider.put("a", b"blob")
        await provider.put("a/b", b"below")
        if "blob beside marker" in store.lacks:
            with pytest.raises(KeyConflict):
                await provider.put("a/", b"")
            assert await read(provider, "a") == b"blob"
            return
        await provider.put("a/", b"")
        await provider.delete("a")
        assert await keys_of(provider) == ["a/", "a/b"]

    async def test_what_cannot_be_beside_is_refused_and_what_is_there_stays(
        self, provider: Provider, store: Store
    ) -> None:
        if "blob beside folder" not in store.lacks:
            pytest.skip("this store holds both")
        await provider.put("blob", b"1")
        await provider.put("folder/x", b"2")
        for key, bodies in (
            ("blob/below", (b"new", stream([b"new"]))),
            ("blob/far/below", (b"new",)),
            ("blob/", (b"",)),
            ("folder", (b"new", stream([b"new"]))),
        ):
            for body in bodies:
                with pytest.raises(KeyConflict) as caught:
                    await provider.put(key, body)
                assert (caught.value.key, caught.value.bucket) == (key, provider.bucket.name)
            with pytest.raises(KeyConflict):
                await provider.copy("folder/x", key)
        assert {key: await read(provider, key) for key in await keys_of(provider)} == {
            "blob": b"1",
            "folder/x": b"2",
        }

    # Whole or nothing

    async def test_a_stream_that_raises_publishes_nothing(self, provider: Provider) -> None:
        await provider.put("old", b"old")
        for before, size in ((0, 0), (1, 10), (3, 10), (1, 5 * MIB), (3, 5 * MIB)):
            pieces = [b"x" * size] * before
            for key in ("old", "new", "folder/new"):
                planted = ZeroDivisionError("planted")
                with pytest.raises(ZeroDivisionError, match="planted"):
                    await provider.put(key, stream([*pieces, planted, b"more"]))
            assert await keys_of(provider) == ["old"], (before, size)
            assert await listed(provider, recursive=False) == [("old", False)]
            assert await read(provider, "old") == b"old"

    async def test_a_stream_cancelled_while_it_waits_publishes_nothing(
        self, provider: Provider
    ) -> None:
        await provider.put("old", b"old")
        for before, key in product((0, 1, 3), ("old", "new")):
            waits = asyncio.Event()

            async def body(before: int, waits: asyncio.Event) -> AsyncIterator[bytes]:
                for _ in range(before):
                    yield b"x" * 5 * MIB
                waits.set()
                await asyncio.Event().wait()

            task = asyncio.create_task(provider.put(key, body(before, waits)))
            await waits.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await keys_of(provider) == ["old"], before
            assert await read(provider, "old") == b"old"

    @pytest.mark.parametrize("as_stream", [True, False])
    async def test_a_put_cancelled_at_any_moment_leaves_old_or_new(
        self, provider: Provider, as_stream: bool
    ) -> None:
        new = random.Random(1).randbytes(3 * MIB)
        ended = {"cancelled": 0, "done": 0}
        for turns in [*range(12), 15, 20, 30, 50, 100, 200, 400]:
            await provider.put("key", b"old")
            body = stream([new[:MIB], new[MIB:]]) if as_stream else new
            puts = [asyncio.create_task(provider.put("key", body))]
            for _ in range(turns):
                await asyncio.sleep(0)
            puts[0].cancel()
            (result,) = await asyncio.gather(*puts, return_exceptions=True)
            ended["done" if result is None else "cancelled"] += 1
            # A store that has the whole of a request goes on with it: what is there may change
            # once more, but is whole at any moment.
            for _ in range(3):
                try:
                    found = await read(provider, "key")
                except BlobChanged:
                    continue
                assert found == new if result is None else found in (b"old", new)
                await asyncio.sleep(0.002)
        assert ended["cancelled"] > 0
        assert await keys_of(provider) == ["key"]

    # For threads

    async def test_direct_calls_are_the_same_calls(self, provider: Provider) -> None:
        direct = direct_of(provider)
        for size in (0, 1, 4096, 262_144):
            body = random.Random(size).randbytes(size)
            await asyncio.to_thread(direct.put, "a b/%20/\u00e9", body)
            assert await read(provider, "a b/%20/\u00e9") == body, size
            known = await provider.head("a b/%20/\u00e9")
            if size:
                assert await asyncio.to_thread(direct.fetch, known) == body, size

    # Small ones with one request

    async def test_a_small_blob_that_nobody_has_looked_at(self, provider: Provider) -> None:
        for size in (0, 1, 4096, SMALL):
            body = random.Random(size).randbytes(size)
            await provider.put("a/b c", body)
            assert await small(provider, "a/b c") == body, size
        for missing in ("a", "a/b", "a/b c/d", "nothing"):
            with pytest.raises(BlobNotFound) as caught:
                await provider.fetch_small(missing)
            assert (caught.value.key, caught.value.bucket) == (missing, provider.bucket.name)

    async def test_a_large_blob_is_no_small_one_nor_are_others_until_one_was_seen(
        self, provider: Provider
    ) -> None:
        await provider.put("small", b"x" * 20_000)
        await provider.put("large", b"x" * 1_000_000)
        assert await small(provider, "small") == b"x" * 20_000
        assert await provider.fetch_small("large") is None
        assert await provider.fetch_small("small") is None
        assert await read(provider, "large") == b"x" * 1_000_000
        assert await provider.fetch_small("small") is None
        assert await read(provider, "small") == b"x" * 20_000
        assert await provider.fetch_small("small") == b"x" * 20_000

    async def test_small_blobs_are_put_and_fetched_many_at_once(self, provider: Provider) -> None:
        bodies = {f"many/{n}": b"%d " % n * n for n in range(300)}
        await asyncio.gather(*(provider.put(key, body) for key, body in bodies.items()))
        fetched = await asyncio.gather(*(read(provider, key) for key in bodies))
        assert dict(zip(bodies, fetched, strict=True)) == bodies
        pages = [page async for page in provider.pages("many/")]
        known = [blob for page in pages for blob in page if isinstance(blob, BlobObject)]
        fetched = await asyncio.gather(*(read(provider, blob.key, known=blob) for blob in known))
        assert {blob.key: body for blob, body in zip(known, fetched, strict=True)} == bodies

    async def test_small_parts_of_a_known_blob(self, provider: Provider) -> None:
        body = random.Random(3).randbytes(MIB)
        await provider.put("a b/%20/\u00e9", body)
        known = await provider.head("a b/%20/\u00e9")
        for offset, length in ((0, 1), (0, 100), (70_000, SMALL), (MIB - 5, 5), (MIB - 5, 50)):
            piece = await read(provider, known.key, offset, length, known=known)
            assert piece == body[offset : offset + length]

    async def test_direct_calls_fail_with_the_same_errors(self, provider: Provider) -> None:
        direct = direct_of(provider)
        await provider.put("key", b"a" * 20)
        for other in (b"b" * 30, b"b" * 10, b"b" * 20):
            known = await provider.head("key")
            await provider.put("key", other)
            with pytest.raises((BlobChanged, BlobNotFound)):
                await asyncio.to_thread(direct.fetch, known)
        known = await provider.head("key")
        await provider.delete("key")
        with pytest.raises((BlobChanged, BlobNotFound)) as caught:
            await asyncio.to_thread(direct.fetch, known)
        assert isinstance(caught.value, NeuroError)
        assert (caught.value.key, caught.value.bucket) == ("key", provider.bucket.name)

    async def test_parts_are_read_into_memory_of_the_caller(self, provider: Provider) -> None:
        direct = direct_of(provider)
        body = random.Random(7).randbytes(3 * MIB)
        await provider.put("a b/%20/\u00e9", body)
        known = await provider.head("a b/%20/\u00e9")
        for offset, length in ((0, 1), (0, MIB), (70_000, 800_000), (3 * MIB - 5, 5)):
            reading = direct.read(known, offset, length)
            if reading is None:
                pytest.skip(f"{provider.bucket.provider}: its parts are read by the engine")
            memory = bytearray(length)
            await asyncio.to_thread(reading.run, memoryview(memory))
            assert memory == body[offset : offset + length], (offset, length)

    async def test_a_part_of_another_version_is_not_read(self, provider: Provider) -> None:
        direct = direct_of(provider)
        await provider.put("key", b"a" * MIB)
        known = await provider.head("key")
        await provider.put("key", b"b" * MIB)
        reading = direct.read(known, 0, 1000)
        if reading is None:
            pytest.skip(f"{provider.bucket.provider}: its parts are read by the engine")
        memory = bytearray(1000)
        with pytest.raises(StorageError) as caught:
            await asyncio.to_thread(reading.run, memoryview(memory))
        assert (caught.value.key, caught.value.bucket) == ("key", provider.bucket.name)
        assert memory == bytes(1000)

    async def test_the_beginning_tells_what_a_blob_is(self, provider: Provider) -> None:
        direct = direct_of(provider)
        for size in (1, 4096, 10_000, 10_001, MIB):
            body = random.Random(size).randbytes(size)
            await provider.put("a b/%20/\u00e9", body)
            heard: list[BlobObject] = []
            reading = direct.begin("a b/%20/\u00e9", heard.append)
            if reading is None:
                pytest.skip(f"{provider.bucket.provider}: its parts are read by the engine")
            memory = bytearray(10_000)
            await asyncio.to_thread(reading.run, memoryview(memory))
            assert heard == [await provider.head("a b/%20/\u00e9")], size
            assert memory[:size] == body[:10_000]

    async def test_the_beginning_of_nothing_is_an_error(self, provider: Provider) -> None:
        direct = direct_of(provider)
        await provider.put("empty", b"")
        await provider.put("dir/", b"")
        await provider.put("dir/blob", b"blob")
        for key in ("empty", "missing", "dir", "dir/"):
            heard: list[BlobObject] = []
            reading = direct.begin(key, heard.append)
            if reading is None:
                pytest.skip(f"{provider.bucket.provider}: its parts are read by the engine")
            with pytest.raises(StorageError) as caught:
                await asyncio.to_thread(reading.run, memoryview(bytearray(100)))
            assert (caught.value.key, caught.value.bucket) == (key, provider.bucket.name)
            assert heard == [], key

    # One version

    async def test_a_known_blob_that_was_replaced_is_not_given_for_it(
        self, provider: Provider
    ) -> None:
        for size, other in ((10, 20), (20, 10), (10, 10), (10, 0), (9 * MIB, 9 * MIB)):
            await provider.put("key", b"a" * size)
            known = await provider.head("key")
            await provider.put("key", b"b" * other)
            with pytest.raises(BlobChanged) as caught:
                await read(provider, "key", known=known)
            assert (caught.value.key, caught.value.bucket) == ("key", provider.bucket.name)

    async def test_a_known_blob_that_is_gone(self, provider: Provider) -> None:
        await provider.put("key", b"a" * 10)
        known = await provider.head("key")
        await provider.delete("key")
        with pytest.raises(BlobNotFound):
            await read(provider, "key", known=known)

    async def test_a_blob_replaced_while_it_is_fetched_gives_one_version(
        self, provider: Provider
    ) -> None:
        for size, grows in product((1000, 24 * MIB), (0, 1)):
            bodies = [bytes([65 + number]) * (size + grows * number) for number in range(3)]
            await provider.put("key", bodies[0])
            pieces = []
            try:
                async with aclosing(provider.fetch("key")) as source:
                    async for piece in source:
                        pieces.append(piece)
                        await provider.put("key", bodies[min(len(pieces), 2)])
            except BlobChanged:
                assert len(set(b"".join(pieces))) == 1, (size, grows)
            else:
                assert b"".join(pieces) in bodies, (size, grows)

    async def test_fetches_beside_a_writer_give_one_version_each(self, provider: Provider) -> None:
        bodies = [bytes([65 + number]) * (200_000 + 1000 * number) for number in range(8)]
        await provider.put("key", bodies[0])
        done = False

        async def write() -> None:
            nonlocal done
            for number in range(40):
                await provider.put("key", bodies[number % 8])
            done = True

        async def fetch() -> int:
            whole = 0
            while not done:
                try:
                    assert await read(provider, "key") in bodies
                except BlobChanged:
                    continue
                whole += 1
            return whole

        *whole, _ = await asyncio.gather(fetch(), fetch(), fetch(), write())
        assert sum(whole) > 0
