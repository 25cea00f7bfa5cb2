"""A store whose engine takes itself for a cluster of two shards: `python -m tests.store.two_shards PATH DATABASE PORT_FILE`.

The engine has neither Keeper nor other servers. But a cluster may have this server twice: then each part of a distributed query
is carried out here, knowing the number of its shard, and a row policy lets it see the rows of that shard alone. So queries
over Distributed tables are planned and carried out as on two servers. What needs Keeper (Replicated engines, ON CLUSTER,
deduplication of a shard's own) is not there: `plain` takes it out of a statement.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from streams.config import Settings
from streams.store.client import connect
from streams.store.layout import Layout, Table
from streams.store.migrations import Migrator, available, statements

CLUSTER: Final = "two"
_SHARDS: Final = "".join(
    f"<shard><replica><host>{host}</host><port>9000</port></replica></shard>" for host in ("localhost", "127.0.0.1")
)
"""Of two names, for a host that stands there twice is asked once where all are asked."""
_SHARDED: Final = "shardNum() = 0 OR cityHash64(lead_id) % 2 = shardNum() - 1"
_WHOLE: Final = "shardNum() &lt;= 1"


def tables() -> Iterable[Table]:
    made = (statement for migration in available() for statement in statements(migration.up))
    return Layout(CLUSTER, "any", made).tables.values()


def plain(sql: str) -> str:
    """What is run here instead."""
    sql = sql.replace(f" ON CLUSTER {CLUSTER}", "")
    sql = re.sub(r"Replicated(\w+)\('/clickhouse[^']*', '[^']*'(?:, )?", r"\1(", sql)
    # Both shards insert into one table: it would take the second for the first, come again.
    sql = re.sub(r"(?<!non_)(?=replicated_deduplication_window = )(\w+) = \d+", r"non_\1 = 0", sql)
    # Merges are asked for by name.
    names = "|".join(table.name for table in tables())
    return re.sub(rf"((?:SYSTEM \w+ MERGES|OPTIMIZE TABLE) (?:{names}))\b(?!_)", r"\1_local", sql)


def connected(settings: Settings) -> Any:
    """A client of the product's whose commands go through `plain`."""
    client = connect(settings)
    client.set_client_setting("prefer_localhost_replica", 1)  # there is no other
    command = client.command

    def run(sql: str, *given: Any, **named: Any) -> Any:
        return command(plain(sql), *given, **named)

    client.command = run
    return client


def migrate(settings: Settings, client: Any) -> None:
    migrator = Migrator(settings)
    for migration in available():
        for statement in migrator.up_statements(migration):
            client.command(statement)


def main() -> None:
    from streams.store import engine
    from streams.store.server import StoreServer, wait_for_signal
    from streams.web import write_port_file

    path, database, port_file = sys.argv[1:]
    policies = "".join(
        f"<{table.name}_local><filter>{_WHOLE if table.is_whole else _SHARDED}</filter></{table.name}_local>"
        for table in tables()
    )
    engine._CONFIG = engine._CONFIG.replace(  # type: ignore[misc]
        "</clickhouse>",
        f"<remote_servers><{CLUSTER}>{_SHARDS}</{CLUSTER}></remote_servers><tcp_port>9000</tcp_port></clickhouse>",
    )
    engine._USERS = engine._USERS.replace(  # type: ignore[misc]
        "</grants>",
        "<query>GRANT REMOTE, CREATE TEMPORARY TABLE ON *.*</query><query>GRANT TABLE ENGINE ON Distributed</query></grants>"
        f"<databases><{database}>{policies}</{database}></databases>",
    )
    server = StoreServer(Path(path), port=0, database=database).start()
    write_port_file(Path(port_file), {"port": server.port, "url": server.url})
    wait_for_signal()
    server.stop()


if __name__ == "__main__":
    main()
