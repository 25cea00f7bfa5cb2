"""What a statement has to know of where tables lie: on one node, or on a cluster (layout.py). One way to ask for each.

A client knows its layout: connect() writes the setting store_cluster on it.
"""

from __future__ import annotations

from typing import Any, Final

from streams.store.layout import SUFFIX, WHOLE

SETTINGS: Final = {
    # An acknowledged insert is stored, on most replicas of each shard that it concerns.
    "distributed_foreground_insert": 1,
    "insert_quorum": "auto",
    "insert_quorum_timeout": 60_000,
    # By default INSERT ... SELECT leaves each row on the shard that it was read from, whatever the sharding key says.
    "parallel_distributed_insert_select": 0,
    "distributed_product_mode": "global",
    # A missing shard is an error, not a smaller number.
    "skip_unavailable_shards": 0,
    # Of each shard one and the same replica: what was written can be read, whichever node is asked.
    "load_balancing": "in_order",
    "prefer_localhost_replica": 0,
    "enable_parallel_replicas": 0,
    # What is said ON CLUSTER is written down in Keeper, and a replica that is away does it when it is back.
    "distributed_ddl_output_mode": "null_status_on_timeout",
    "distributed_ddl_task_timeout": 5,
}
"""What every query of ours says on a cluster. Defaults have moved between versions, and most of them are others."""
MAKING: Final = {"wait_end_of_query": 1, "distributed_ddl_output_mode": "throw", "distributed_ddl_task_timeout": 100}
"""Of what makes tables, views, users, on one node too: all nodes have done it, or it is an error, which comes with its code."""


def _cluster(client: Any) -> str:
    return getattr(client, "store_cluster", None) or ""


def stored(client: Any, table: str) -> str:
    """The table that holds the rows, as ALTER, OPTIMIZE and the like name it."""
    cluster = _cluster(client)
    return f"{table}{SUFFIX} ON CLUSTER {cluster}" if cluster else table


def stored_name(client: Any, table: str) -> str:
    """Its name in system tables."""
    return f"{table}{SUFFIX}" if _cluster(client) else table


def everywhere(client: Any, table: str) -> str:
    """A table as all replicas have it, each with its own rows: system.…, or one of ours. For FROM."""
    cluster = _cluster(client)
    if not cluster:
        return table
    lies = table if "." in table else f"currentDatabase(), '{table}{SUFFIX}'"
    return f"clusterAllReplicas('{cluster}', {lies})"


def shard(client: Any) -> str:
    """Number of the shard that a row lies on: for SELECT from our tables. 0: there is one node."""
    return "_shard_num" if _cluster(client) else "0"


def complete(client: Any, table: str) -> str:
    """Number of shards that have rows of a table once all have: for HAVING count() = ..., grouped by shard before."""
    cluster = _cluster(client)
    if not cluster or table in WHOLE:
        return "1"
    return f"(SELECT uniqExact(shard_num) FROM system.clusters WHERE cluster = '{cluster}')"  # noqa: S608  # a setting
