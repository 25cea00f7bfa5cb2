"""The archive as JSON Lines: what `baton publish` and `baton replay` read once Kafka's own retention is over.

Every event that was archived, copies and refused ones too: what counts is decided anew. Without what the archive never had,
`person` and free text; neither means anything to the fold. Parameters only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.config import Settings
from streams.store.client import connect, failure, patiently
from streams.topics import INPUTS

_LINES: Final = """
SELECT concat('{"received_at":', toString(toUnixTimestamp64Milli(received_at)), withdrawn_on, ',', substring(body, 2))
FROM
(
    SELECT
        received_at, topic, partition, offset, body,
        -- Where a withdrawal stood says which topic's event it takes back; of a name with a prefix the end counts.
        arrayFirst(name -> endsWith(topic, name), {names:Array(String)}) AS name,
        if(event_type = 'FactWithdrawn', concat(',"topic":"', name, '"'), '') AS withdrawn_on
    FROM events FINAL
    WHERE received_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
        AND received_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
)
ORDER BY received_at, topic, partition, offset
"""
_LATEST: Final = 9_000_000_000_000
"""UTC milliseconds, in the year 2255: DateTime64 ends soon after."""
_SORTED_IN_MEMORY: Final = 1_000_000_000
"""Bytes; what is more is sorted on the store's disk."""


def lines(settings: Settings, since: int | None, until: int | None, wait: float = 0) -> Iterator[bytes]:
    """Pieces of JSON Lines, as they come: events received in [since, until), UTC milliseconds, in the order of receipt.

    `wait`: seconds for the store to answer. Raises BatonError.
    """
    client = patiently(lambda: connect(settings), wait)
    bounds = {"since": 0 if since is None else since, "until": _LATEST if until is None else until}
    try:
        with client.raw_stream(
            _LINES,
            parameters={**bounds, "names": list(INPUTS)},
            settings={"max_bytes_before_external_sort": _SORTED_IN_MEMORY},
            fmt="TSVRaw",
        ) as stream:
            yield from iter(lambda: stream.read(1 << 16), b"")
    except ClickHouseError as error:
        raise failure(settings.store_url, error) from None
    finally:
        client.close()
