"""Transfers at each store in turn."""

from __future__ import annotations

import pytest

from tests.contracts.stores import STORES, Store

# Other ways to open a store of S3 lead to the same engine; tests/contracts hold them to theirs.
ENGINES = tuple(
    store for store in STORES if not store.name.endswith(" as minio") and store.name != "over http"
)


@pytest.fixture(params=ENGINES, ids=lambda store: store.name)
def store(request: pytest.FixtureRequest) -> Store:
    """Each kind of store in turn."""
    chosen: Store = request.param
    return chosen
