"""Parts: they cover the whole, keep to the limits of a store, and grow before these are hit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk._core.parts import Part, PartLimits, file_parts, growing_size, part_size

MIB, GIB = 1 << 20, 1 << 30
S3 = PartLimits(least=5 * MIB, most=5 * GIB, count=10_000)

limits = st.builds(
    PartLimits,
    least=st.integers(1, 5),
    most=st.integers(5 * MIB, 7 * MIB),
    count=st.integers(1, 50),
)


@given(total=st.integers(1, 200), wanted=st.integers(1, 300), limits=limits)
def test_they_cover_the_whole_within_the_limits(
    total: int, wanted: int, limits: PartLimits
) -> None:
    parts = list(file_parts(total, wanted, limits))
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert [part.offset for part in parts] == [
        sum(part.length for part in parts[:index]) for index in range(len(parts))
    ]
    assert sum(part.length for part in parts) == total
    assert len(parts) <= limits.count
    assert len({part.length for part in parts[:-1]}) <= 1
    assert all(limits.least <= part.length <= limits.most for part in parts[:-1])
    assert 0 < parts[-1].length <= limits.most


@pytest.mark.parametrize(
    ("total", "wanted", "size"),
    [
        (9 * MIB, 8 * MIB, 8 * MIB),
        (9 * MIB, 1, 5 * MIB),
        (80_000 * MIB, 8 * MIB, 8 * MIB),
        (80_000 * MIB + 1, 8 * MIB, 9 * MIB),
        (100 * GIB, 8 * MIB, 11 * MIB),
        (5 * GIB * 10_000, 8 * MIB, 5 * GIB),
    ],
)
def test_the_size_grows_with_the_file(total: int, wanted: int, size: int) -> None:
    assert part_size(total, wanted, S3) == size


def test_more_than_the_store_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 53687091200000 bytes"):
        part_size(5 * GIB * 10_000 + 1, 8 * MIB, S3)


def test_an_unknown_end_needs_ever_larger_parts() -> None:
    sizes = [growing_size(number, 8 * MIB, S3) for number in range(1, 10_001)]
    assert sizes[0] == sizes[1249] == 8 * MIB
    assert sizes[1250] == 16 * MIB
    assert sizes == sorted(sizes)
    assert sizes[-1] == GIB
    assert sum(sizes) > 2 << 40
    assert growing_size(1, 1, S3) == 5 * MIB


def test_the_first_part() -> None:
    assert next(file_parts(10 * MIB, 8 * MIB, S3)) == Part(1, 0, 8 * MIB)
