"""`baton replay` as a user starts it, and the real logs it is tested on."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.real.fixtures import Cluster
from tests.support.processes import Child, start
from tests.support.tools import ROOT

DATA: Final = ROOT.parent / "shared" / "data"
"""Real event logs; no part of the repository."""
BPIC2012: Final = DATA / "bpic2012" / "financial_log_sample.xes.gz"
OLIST: Final = DATA / "olist"


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"the real event log {path} is not on this machine")


def agreement(folder: Path, target: str) -> Path:
    """An agreement with one first-response target for all."""
    path = folder / "agreement.yaml"
    path.write_text(
        "version: test-1\neffective_from: 2000-01-01T00:00:00Z\n"
        f"policies: {{first_response: {{targets: {target}, calendar: 24x7}}}}\n"
    )
    return path


@dataclass(frozen=True, slots=True)
class Ended:
    """A replay that ended well. `summary`: its JSON; `log`: what it said meanwhile."""

    summary: dict[str, Any]
    log: str


def begin(folder: Path, *arguments: object, cluster: Cluster | None = None) -> Child:
    """Starts a replay; on the embedded parts when no cluster is given."""
    where = [] if cluster is None else ["--brokers", cluster.brokers, "--registry", cluster.registry_url]
    command = [sys.executable, "-m", "streams", "replay", "--json", *where, *map(str, arguments)]
    return start(command, folder / "log", name="replay")


def end(child: Child, seconds: float = 240) -> Ended:
    """Waits for it and reads its summary."""
    code = child.wait(seconds)
    output = child.output()
    assert code == 0, output[-4000:]
    log, brace, summary = output.partition("\n{\n")
    return Ended(json.loads(brace + summary), log)


def replay(folder: Path, *arguments: object, cluster: Cluster | None = None) -> Ended:
    return end(begin(folder, *arguments, cluster=cluster))
