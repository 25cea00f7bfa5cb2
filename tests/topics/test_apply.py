"""`baton topics apply|check` and a worker's start on a real Kafka."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from streams.config import Environment, Settings, load
from streams.errors import ConfigurationError
from streams.topic_admin import apply, check, require
from streams.topic_settings import SETTINGS
from tests.real.fixtures import Cluster
from tests.real.kafka import KafkaServer
from tests.support.poll import eventually
from tests.worker.processes import Worker


@pytest.fixture
def settings(real_cluster: Cluster, topic_prefix: str) -> Settings:
    return load(
        brokers=real_cluster.brokers, registry_url=real_cluster.registry_url, topic_prefix=topic_prefix,
        group=f"{topic_prefix}worker", erasure_key="a key for tests",
    )  # fmt: skip


def alter(settings: Settings, topic: str, key: str, value: str) -> None:
    """As a well-meaning operator would."""
    admin = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 0})
    name = settings.topic_prefix + topic
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)
    asked = ConfigResource(ResourceType.TOPIC, name)

    def stands() -> Any:
        [answer] = admin.describe_configs([asked]).values()
        return answer.result(10)[key].value == value

    eventually(stands)


def test_apply_makes_mends_and_then_does_nothing(settings: Settings) -> None:
    made = apply(settings)
    assert len(made) == len(SETTINGS)
    assert f"{settings.topic_prefix}leads: created, 4 partitions, 1 copies" in made
    assert check(settings) == ([], [])
    assert apply(settings) == []
    alter(settings, "leads", "retention.ms", "1000")
    alter(settings, "lead-states", "cleanup.policy", "delete")
    wrong, differing = check(settings)
    assert len(wrong) == 1
    assert "lead-states" in wrong[0]
    assert f"topic {settings.topic_prefix}leads has retention.ms=1000, not 2073600000" in differing
    assert sorted(apply(settings)) == [
        f"{settings.topic_prefix}lead-states: cleanup.policy delete -> compact",
        f"{settings.topic_prefix}leads: retention.ms 1000 -> 2073600000",
    ]
    eventually(lambda: check(settings) == ([], []))
    assert apply(settings) == []


def test_what_cannot_be_altered_is_refused_with_the_mend(settings: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 0})
    [future] = admin.create_topics([NewTopic(f"{settings.topic_prefix}touches", 3, 1)]).values()
    future.result(10)
    with pytest.raises(ConfigurationError, match=r"equal partition counts.*touches=3.*make those anew"):
        apply(settings)


def test_one_copy_in_production_is_refused(settings: Settings) -> None:
    apply(settings)
    production = settings.model_copy(update={"environment": Environment.PRODUCTION})
    with pytest.raises(ConfigurationError, match=r"leads has 1 copy in production, not 3: add replicas"):
        require(production)


def test_a_broker_that_makes_topics_unasked_is_refused(
    kafka_server: Callable[..., KafkaServer], settings: Settings
) -> None:
    server = kafka_server(auto_create_topics_enable="true").start()
    other = settings.model_copy(update={"brokers": server.brokers})
    with pytest.raises(ConfigurationError, match=r"auto\.create\.topics\.enable=true"):
        apply(other)


@pytest.mark.parametrize(
    ("topic", "key", "value"),
    [("leads", "message.timestamp.type", "CreateTime"), ("lead-states", "cleanup.policy", "compact,delete")],
)
def test_a_worker_does_not_start_on_it(settings: Settings, tmp_path: Path, topic: str, key: str, value: str) -> None:
    apply(settings)
    alter(settings, topic, key, value)
    worker = Worker(settings, tmp_path)
    try:
        assert worker.child.wait(60) == 2
    finally:
        worker.child.stop()
    said = worker.child.output()
    assert re.search(rf"baton: topic \S+{topic} .*has {key}={value}, not .*run `baton topics apply`", said), said
    assert "Traceback" not in said


def test_the_command(settings: Settings) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        given = ["--brokers", settings.brokers, "--topic-prefix", settings.topic_prefix]
        command = [sys.executable, "-m", "streams", "topics", *arguments, *given]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    first = run("apply")
    assert first.returncode == 0, first.stderr
    assert "leads: created, 4 partitions, 1 copies" in first.stdout
    assert run().stdout == "nothing to do\n"
    assert run("check").stdout == "as they are to be\n"
    alter(settings, "leads", "retention.ms", "1000")
    told = run("check")
    assert (told.returncode, "retention.ms=1000" in told.stdout) == (1, True)
    production = run("check", "--environment", "production")
    assert production.returncode == 2
    assert "add replicas" in production.stderr
