"""Transfers at each store in turn."""

from __future__ import annotations

import pytest

from tests.contracts.stores import STORES, Store

# What opens as MinIO is the engine of S3 once more; tests/contracts hold it to its contract.
ENGINES = tuple(store for store in STORES if not store.name.endswith(" as minio"))


@pytest.fixture(params=ENGINES, ids=lambda store: store.name)
def store(request: pytest.FixtureRequest) -> Store:
    """Each kind of store in turn."""
    chosen: Store = request.param
    return chosen
