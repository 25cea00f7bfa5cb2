"""Client of a Confluent-compatible schema registry. Blocking: call it from a thread where an event loop runs.

Whatever fails for lack of an answer is retried with backoff and then an UnavailableError: an outage is never mistaken for
a wrong schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import httpx2 as httpx
import structlog
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential_jitter,
    wait_random,
)

from schemas.catalog import CATALOG, subject
from streams.errors import BatonError, UnavailableError
from streams.topics import Topics

log = structlog.get_logger(__name__)

T = TypeVar("T")

COMPATIBILITY: Final = "FULL_TRANSITIVE"
"""Old and new producers and consumers run at once, in any combination."""
_UNKNOWN_SCHEMA: Final = 40403
_LARGEST_ID: Final = 2**31 - 1


class Registry:
    """`patience`: seconds an unreachable registry is waited for before UnavailableError."""

    def __init__(self, url: str, *, patience: float = 30.0) -> None:
        self.url = url
        self._client = SchemaRegistryClient({"url": url, "max.retries": 0, "timeout": 10})
        self._patience = patience
        self._ours: str | None = None
        """A subject that this registry has taken a contract for."""

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections; it cannot be used afterwards."""
        self._client.close()

    def _call(self, what: Callable[[], T]) -> T:
        try:
            for attempt in Retrying(
                retry=retry_if_exception(_is_outage),
                stop=stop_after_delay(self._patience),
                wait=wait_exponential_jitter(multiplier=0.1, max=2.0),
                before_sleep=lambda state: log.warning(
                    "registry unreachable, retrying", url=self.url, attempt=state.attempt_number
                ),
                reraise=True,
            ):
                with attempt:
                    return what()
        except Exception as error:
            if _is_outage(error):
                raise UnavailableError(f"schema registry {self.url}: {_cause(error)}") from error
            raise
        raise AssertionError("tenacity returns or raises")

    def ids(self, topics: Topics, names: Iterable[str]) -> dict[str, int]:
        """Registers the contracts `names` for every topic they stand on; record name -> schema id.

        Registering again what is there changes nothing. A schema that breaks compatibility is a BatonError.
        """
        found: dict[str, int] = {}
        for name in names:
            contract = CATALOG[name]
            for topic in contract.topics:
                where = subject(topics.name(topic), contract)
                try:
                    number = self._contested(
                        lambda: int(self._client.register_schema(where, Schema(contract.text, "AVRO")))  # noqa: B023
                    )
                except SchemaRegistryError as error:
                    raise BatonError(f"schema registry {self.url} refuses {where}: {_refusal(error)}") from error
                self._ours = where
                if found.setdefault(name, number) != number:
                    raise BatonError(f"schema registry {self.url} gives {name} different ids by subject")
        return found

    def _contested(self, what: Callable[[], T]) -> T:
        """Two processes that write the same at the same instant: one of them can be told of a conflict."""
        for attempt in Retrying(
            retry=retry_if_exception(_is_conflict),
            stop=stop_after_attempt(4),
            wait=wait_random(0.05, 0.3),
            reraise=True,
        ):
            with attempt:
                return self._call(what)
        raise AssertionError("tenacity returns or raises")

    def require_compatibility(self, topics: Topics, names: Iterable[str]) -> None:
        """Sets FULL_TRANSITIVE on the subjects of the contracts `names`."""
        for name in names:
            for topic in CATALOG[name].topics:
                where = subject(topics.name(topic), CATALOG[name])
                self._contested(lambda: self._client.set_compatibility(where, COMPATIBILITY))  # noqa: B023

    def text(self, schema_id: int) -> str | None:
        """The schema of an id as JSON text; None where the registry answers that there is none.

        Only its own word for that counts: a proxy's 404 is an outage, and so is a registry that has lost what it took.
        Good records must not end as dead letters because something stands in its place.
        """
        if schema_id > _LARGEST_ID:
            return None  # what no registry gives, some do not even take for an id: that is no outage
        try:
            return self._call(lambda: str(self._client.get_schema(schema_id).schema_str))
        except SchemaRegistryError as error:
            if error.error_code != _UNKNOWN_SCHEMA:
                raise UnavailableError(f"schema registry {self.url}: {error.error_message}") from error
        if self._ours is not None:
            self._still_knows(self._ours)
        return None

    def _still_knows(self, where: str) -> None:
        try:
            self._call(lambda: self._client.get_versions(where))
        except SchemaRegistryError as error:
            raise UnavailableError(
                f"schema registry {self.url}: it no longer knows {where}, which it took before: give it back its schemas"
            ) from error


def _is_outage(error: BaseException) -> bool:
    if isinstance(error, SchemaRegistryError):
        return error.http_status_code >= 500 or error.http_status_code in (-1, 408, 429)
    return isinstance(error, httpx.TransportError | OSError)


def _is_conflict(error: BaseException) -> bool:
    return isinstance(error, SchemaRegistryError) and error.http_status_code == 409


def _refusal(error: SchemaRegistryError) -> str:
    # Registries put whole schemas into such messages: the first line says it.
    text = str(error.error_message).partition("\n")[0][:300]
    if error.http_status_code == 409:
        return f"{text}: it is incompatible with an earlier version; a changed field needs a default"
    return f"{text} (HTTP {error.http_status_code})"


def _cause(error: BaseException) -> str:
    return str(error) or type(error).__name__
