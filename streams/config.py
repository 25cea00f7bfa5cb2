"""Configuration: one validated object, from BATON_* environment variables, secret files and command-line options.

Every process builds it once, at its entry, and hands it on; nothing else reads the environment.
A secret may stand in a file named after its variable in the folder BATON_SECRETS_DIR (as container platforms mount them).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.errors import ConfigurationError


class ClockMode(StrEnum):
    """What a lane's time is when its partitions are read to their ends."""

    BROKER = "broker"
    """The broker's present time: live processing."""
    EVENT = "event"
    """Nothing but received_at and end-of-input marks: replays; wall time is never used."""


class Environment(StrEnum):
    """How much must survive: what topics get, and what a worker insists on (streams/guarantees.py)."""

    DEVELOPMENT = "development"
    """One copy of everything will do."""
    PRODUCTION = "production"
    """A broker may die at any time and nothing is lost."""


class Latency(StrEnum):
    """How soon an event is to be seen: what commit_interval and sink_interval are where they are not given."""

    DEFAULT = "default"
    LOW = "low"
    """Smaller transactions and inserts, more of them: a multiple of the CPU time at small rates (docs/operations.md)."""


_INTERVALS: Final[Mapping[str, Mapping[str, float]]] = {
    Latency.LOW: {"commit_interval": 0.1, "sink_interval": 0.05},
}


def _addresses(value: str) -> str:
    for address in value.split(","):
        host, colon, port = address.strip().rpartition(":")
        if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"expected host:port[,host:port...], got {address!r}")
    return value


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError(f"expected a URL that starts with http:// or https://, got {value!r}")
    return value.rstrip("/")


class Settings(BaseSettings):
    """All settings of all processes. Times in seconds unless a name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="BATON_", extra="forbid", frozen=True)

    brokers: Annotated[str, AfterValidator(_addresses)] = "127.0.0.1:9092"
    """Kafka bootstrap servers, host:port, comma separated."""
    registry_url: Annotated[str, AfterValidator(_http_url)] = "http://127.0.0.1:8081"
    """Confluent-compatible schema registry."""
    store_url: Annotated[str, AfterValidator(_http_url)] = "http://127.0.0.1:8123"
    """ClickHouse HTTP interface: a server's or `baton store`'s."""
    store_database: str = Field(default="baton", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    store_cluster: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the cluster, in the servers' configuration, that the tables are laid out on; None: one node."""
    store_user: str = "default"
    store_password: SecretStr = SecretStr("")
    store_reader_password: SecretStr = SecretStr("")
    """Of the embedded store's read-only user `reader`; needed for that user as soon as there is a store_password."""

    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    """Put before every topic name, so that environments or replays can share a cluster."""
    partitions: int = Field(default=4, ge=1, le=1024)
    """Partitions of each topic, that is lanes; read when topics are created."""
    environment: Environment = Environment.DEVELOPMENT
    replication_factor: int | None = Field(default=None, ge=1)
    """Copies of each new topic; None: 1 in development, 3 in production."""
    acks: Literal["all"] = "all"
    """There is no other: what one broker alone has acknowledged goes with it."""
    group: str = Field(default="baton-worker", min_length=1)
    """Consumer group of the workers; also the stem of the lanes' transactional ids."""
    group_instance_id: str | None = None
    """Static membership: a stable name per worker, so that a restart causes no rebalance."""
    sink_group: str = Field(default="baton-sink", min_length=1)

    clock: ClockMode = ClockMode.BROKER
    grace: float = Field(default=2.0, ge=0)
    """A deadline fires when the lane clock is at least this far past it."""
    clock_margin: float = Field(default=1.0, ge=0)
    """Taken off the broker's estimated present time."""
    latency: Latency = Latency.DEFAULT
    commit_interval: float = Field(default=0.5, gt=0, le=60)
    session_timeout: float = Field(default=6.0, ge=1)
    transaction_timeout: float = Field(default=20.0, ge=1)
    max_lane_queue: int = Field(default=20_000, ge=100)
    """Records a lane holds per topic before it pauses that partition."""
    max_pending_bytes: int = Field(default=48 * 1024 * 1024, ge=65_536)
    """Packed bytes of leads that a worker holds unpacked until they are committed; in memory seven times as much."""
    max_record_bytes: int = Field(default=1_048_576, ge=1024)
    """A larger input record goes to dead letters."""
    transactions: bool = True
    """False only on the embedded broker, which has none."""
    erasure_key: SecretStr = SecretStr("")
    """Key of the hashes under which erased leads are known; the same for all workers, and for ever."""
    agreement: Path | None = None
    """File or folder of the agreement; absent: what is published on the topic `agreements`, else the built-in one."""

    sink_batch_rows: int = Field(default=100_000, ge=1)
    sink_interval: float = Field(default=0.5, gt=0)
    rollup_interval: float = Field(default=2.0, ge=0)
    """Seconds from one rollup of the KPI tables to the next; 0: this sink makes none."""

    bind: str = "127.0.0.1"
    """Address that /metrics and /status listen on."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """0: any free port, told in the log."""
    log_json: bool = False

    @model_validator(mode="before")
    @classmethod
    def _of_latency(cls, given: dict[str, Any]) -> dict[str, Any]:
        return dict(_INTERVALS.get(given.get("latency", Latency.DEFAULT), {})) | given


def copies(settings: Settings) -> int:
    """Replication factor of new topics."""
    if settings.replication_factor is not None:
        return settings.replication_factor
    return 3 if settings.environment is Environment.PRODUCTION else 1


def load(**overrides: object) -> Settings:
    """Settings from environment, secret files and the given overrides (None: not given).

    Raises ConfigurationError that names each wrong key and what is expected.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    secrets = os.environ.get("BATON_SECRETS_DIR")
    try:
        return Settings(_secrets_dir=secrets, **given)  # type: ignore[call-arg, arg-type]
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"])
            lines.append(f"{key} (BATON_{key.upper()}): {problem['msg']}")
        raise ConfigurationError("; ".join(lines)) from None
