"""The rule for names."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk._core.names import check_name
from neuro_sdk.errors import InvalidName


@given(st.text(max_size=45) | st.text(alphabet="aZ0-_.é", max_size=45))
def test_the_rule(name: str) -> None:
    good = (
        3 <= len(name) <= 40
        and name[0] in string.ascii_lowercase
        and set(name) <= set(string.ascii_lowercase + string.digits + "-_")
    )
    if good:
        check_name(name)
    else:
        with pytest.raises(InvalidName, match="3 to 40"):
            check_name(name)


@pytest.mark.parametrize("name", ["abc", "a" * 40, "a-b", "a_1", "a--", None])
def test_good(name: str | None) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "ab", "a" * 41, "1ab", "-ab", "Abc", "a.b", "abc\n", "abé"])
def test_bad(name: str) -> None:
    with pytest.raises(InvalidName) as caught:
        check_name(name, "credential")
    assert f"the credential name {name!r}" in str(caught.value)


def test_other_types() -> None:
    with pytest.raises(TypeError, match="bucket name"):
        check_name(b"abc")  # type: ignore[arg-type]
