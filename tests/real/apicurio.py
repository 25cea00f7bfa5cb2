"""A real schema registry for tests: Apicurio on the JVM, asked through its Confluent-compatible API.

Imports nothing of the product.
"""

from __future__ import annotations

from pathlib import Path

import urllib3

from tests.real.artifacts import java, resolved
from tests.support.processes import Child, free_port, start


class ApicurioServer:
    """In memory: what is registered is gone when it stops."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/apis/ccompat/v7"
        self.child: Child | None = None

    def start(self) -> ApicurioServer:
        home = resolved() / "apicurio"
        runner = next(home.glob("apicurio-registry-app-*-runner.jar"))
        self.child = start(
            [
                java(), "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                f"-Dquarkus.http.port={self.port}", "-Dquarkus.http.host=127.0.0.1", "-Dquarkus.log.level=WARN",
                "-cp", f"{runner}:{home}/lib/*", "io.quarkus.runner.GeneratedMain",
            ],
            self.folder, name="apicurio",
        )  # fmt: skip
        self.child.wait_until(self._answers, timeout=60)
        return self

    def _answers(self) -> bool:
        try:
            return urllib3.request("GET", f"{self.url}/subjects", timeout=2, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop(timeout=10)

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()
