"""The archive as JSON Lines: what `baton replay` and `baton publish` read once Kafka's own retention is over.

Every event that was archived, copies too, but those that were set aside for what they are, and of campaigns what is no event
of ours: what counts is decided anew. Without
what the archive never had, `person` and free text; neither means anything to the fold. Parameters only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from streams.config import Settings
from streams.errors import UnavailableError
from streams.importers.jsonl import now, parse
from streams.importers.shape import RefusedEvent
from streams.store.client import connect, failure, patiently
from streams.topics import INPUTS

log = structlog.get_logger(__name__)

_LINES: Final = """
SELECT line, is_judged
FROM
(
    SELECT
        false AS is_end, true AS is_judged, received_at, topic, partition, offset,
        -- Where a withdrawal stood says which topic's event it takes back; of a name with a prefix the end counts.
        arrayFirst(name -> endsWith(topic, name), {names:Array(String)}) AS name,
        if(event_type = 'FactWithdrawn', concat(',"topic":"', name, '"'), '') AS withdrawn_on,
        concat('{"received_at":', toString(toUnixTimestamp64Milli(received_at)), withdrawn_on, ',', substring(body, 2)) AS line
    FROM events FINAL
    WHERE (topic, partition, offset, timestamp) NOT IN letters_for_good
    UNION ALL
    SELECT
        false, false, received_at, topic, partition, offset, '', '',
        concat('{"received_at":', toString(toUnixTimestamp64Milli(received_at)), ',', substring(body, 2))
    FROM campaign_events FINAL
    UNION ALL
    SELECT true, true, toDateTime64(0, 3, 'UTC'), '', 0, 0, '', '', ''
)
WHERE is_end OR (
    received_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND received_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
)
ORDER BY is_end, received_at, topic, partition, offset
"""
_END: Final = ""
"""The last line: an answer without it broke off."""
_LATEST: Final = 9_000_000_000_000
"""UTC milliseconds, in the year 2255: DateTime64 ends soon after."""
_SORTED_IN_MEMORY: Final = 1_000_000_000
"""Bytes; what is more is sorted on the store's disk."""
_SILENCE: Final = 4 * 3600
"""Seconds: everything is sorted before the first line comes."""


def _is_event(line: str) -> bool:
    """Of campaigns no worker has said so."""
    try:
        parse(line, now())
    except RefusedEvent as error:
        log.warning("left out: no event that a replay takes", cause=str(error))
        return False
    return True


def lines(settings: Settings, since: int | None, until: int | None, wait: float = 0) -> Iterator[str]:
    """Events received in [since, until), UTC milliseconds, in the order of receipt; each a line without its end.

    `wait`: seconds for the store to answer. Raises BatonError, also where the answer breaks off.
    """
    client = patiently(lambda: connect(settings, silence=_SILENCE), wait)
    bounds = {"since": 0 if since is None else since, "until": _LATEST if until is None else until}
    line = None
    try:
        with client.query_row_block_stream(
            _LINES,
            parameters={**bounds, "names": list(INPUTS)},
            settings={"max_bytes_before_external_sort": _SORTED_IN_MEMORY},
        ) as blocks:
            for block in blocks:
                for line, is_judged in block:
                    if line != _END and (is_judged or _is_event(line)):
                        yield line
    except (ClickHouseError, HTTPError) as error:
        raise failure(settings.store_url, error) from None
    finally:
        client.close()
    if line != _END:
        raise UnavailableError(f"store {settings.store_url}: the answer broke off")
