"""Shows metrics as a worker just started does, breaches and a dead letter counted: `python -m tests.deploy.exporter FILE`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from streams import metrics, web


def main() -> None:
    server = web.serve(lambda: {"role": "worker", "ready": True}, "127.0.0.1", 0)
    metrics.BREACHES.labels(policy="first_response").inc(3)
    metrics.DEAD_LETTERS.labels(reason="null_key").inc()
    metrics.LANE_CLOCK_AGE.labels(lane="0").set(2)
    web.write_port_file(Path(sys.argv[1]), {"port": server.port})
    signal.pause()


if __name__ == "__main__":
    main()
