"""Runs clients written in other languages with other teams' libraries. Imports nothing of the product.

Each publishes, for every lead id given, a LeadCaptured (hand_raise, source website, a minute ago) and a TouchRecorded
(a salesperson's answered call, half a minute ago): a lead with a first response met.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.real.artifacts import java, resolved
from tests.support.node import installed
from tests.support.tools import ROOT, require

_HERE: Final = Path(__file__).parent

Publish = Callable[[str, str, str, Sequence[str]], None]
"""(brokers, registry_url, topic_prefix, lead_ids); the two topics must exist."""


def _run(command: Sequence[str | Path], leads: Sequence[str], cwd: Path) -> None:
    done = subprocess.run(
        [*command, *leads], cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    output = done.stdout[-2000:] + done.stderr[-2000:]
    assert done.returncode == 0, f"{command[0]} ended with code {done.returncode}:\n{output}"
    assert int(done.stdout.split()[-1]) == 2 * len(leads), done.stdout


def publish_java(brokers: str, registry_url: str, prefix: str, leads: Sequence[str]) -> None:
    """Apache's Kafka client and Avro library; our .avsc files, registered and framed by the client."""
    libraries = resolved(_HERE / "java" / "pom.xml") / "libs"
    command: list[str | Path] = [
        java(), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{libraries}/*", _HERE / "java" / "Publish.java",
        brokers, registry_url, prefix, ROOT / "schemas",
    ]  # fmt: skip
    _run(command, leads, _HERE)


def publish_node(brokers: str, registry_url: str, prefix: str, leads: Sequence[str]) -> None:
    """kafkajs and its Confluent registry client; the schemas are its own, with fewer fields than ours."""
    _run([require("node", "nodejs"), "publish.js", brokers, registry_url, prefix], leads, installed(_HERE / "node"))


CLIENTS: Final[Mapping[str, Publish]] = {"java": publish_java, "node": publish_node}
