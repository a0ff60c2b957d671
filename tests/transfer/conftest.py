"""Transfers at each kind of store in turn."""

from __future__ import annotations

from tests.contracts.stores import ENGINES, each

store = each(ENGINES)
