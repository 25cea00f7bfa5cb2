"""The sink's fixtures: a broker, a migrated store, a worker's outputs."""

from tests.sink.conftest import client, embedded_store_url, settings, store, worker

__all__ = ["client", "embedded_store_url", "settings", "store", "worker"]
