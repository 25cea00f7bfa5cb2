"""Writer schemas that the lanes do not know yet: asked of the registry beside the event loop, learnt by the decoder.

An outage of the registry blocks the lanes that need a schema, for as long as it lasts, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

import structlog

from schemas.wire import Decoder
from streams.errors import UnavailableError
from streams.topics import STATES
from streams.worker.ports import Ports, once

log = structlog.get_logger(__name__)

_AGAIN_AFTER: Final = 1.0
_ABSENT_FOR: Final = 30.0
"""Seconds after which a schema id that the registry did not know is asked for again."""


class Schemas(Protocol):
    """The registry, as far as lanes need it. Raises UnavailableError where it does not answer; None: no such id."""

    def text(self, schema_id: int) -> str | None: ...


class Lookups:
    """Belongs to the event loop."""

    def __init__(self, registry: Schemas, decoder: Decoder, ports: Ports) -> None:
        self._registry, self._decoder, self._ports = registry, decoder, ports
        self._absent: dict[int, float] = {}
        self._asking: asyncio.Task[None] | None = None

    def lacks(self, ids: set[int]) -> bool:
        """Whether something of `ids`, all unknown, is still to be learnt; if so it is being asked for."""
        now = self._ports.monotonic()
        for number, since in list(self._absent.items()):
            if now - since > _ABSENT_FOR:
                del self._absent[number]
                self._decoder.forget(number)
        if ids and self._asking is None:
            self._asking = asyncio.ensure_future(self._ask(ids))
        return bool(ids)

    async def _ask(self, ids: set[int]) -> None:
        try:
            await self._learn(ids)
        except UnavailableError as error:
            log.warning("schema lookup failed, trying again", error=str(error))
            await asyncio.sleep(_AGAIN_AFTER)
        finally:
            self._asking = None

    async def _learn(self, ids: Iterable[int]) -> None:
        for number in ids:
            text = await self._ports.blocking(once("schema", self._registry.text, number))
            self._decoder.learn(number, text)
            if text is None:
                self._absent[number] = self._ports.monotonic()

    async def require(self, ids: Iterable[int]) -> None:
        """Learns the schemas of records that a worker wrote. Raises UnavailableError while the registry does not tell one:
        it has lost it, or is another registry; and WireError for one that states cannot be read by. Nothing of a lane's
        states may be passed over.
        """
        for number in ids:
            if self._decoder.knows(number) and number not in self._absent:
                continue
            text = await self._ports.blocking(once("schema", self._registry.text, number))
            if text is None:
                raise UnavailableError(
                    f"schema registry: it does not know schema {number}, under which {STATES} holds states; give it back "
                    "its schemas"
                )
            problem = self._decoder.learn(number, text)
            self._absent.pop(number, None)
            if problem is not None:
                self._decoder.forget(number)
                raise problem
