"""Fixtures of the store's tests."""

from tests.store.fixtures import client, embedded_store_url, store

__all__ = ["client", "embedded_store_url", "store"]
