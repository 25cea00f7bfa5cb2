"""Java artifacts for tests: resolved by Maven once into .cache/, by coordinates of a small pom.

Imports nothing of the product.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from tests.support.tools import CACHE, require, unavailable

POM: Final = Path(__file__).parent / "java" / "pom.xml"


@cache
def java() -> str:
    return require("java", "default-jdk-headless")


@cache
def resolved(pom: Path = POM) -> Path:
    """Folder that `mvn -f POM -Dtarget=FOLDER package` filled; kept until the pom changes. Skips where it cannot."""
    java()
    mvn = require("mvn", "maven")
    folder = CACHE / f"{pom.parent.parent.name}-java-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "maven.lock").open("w") as lock:
        # Maven's own repository is not made for two at once, and who comes second finds what the first has fetched.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            done = subprocess.run(
                [mvn, "-B", "-q", "-C", "-f", str(pom), f"-Dtarget={partial}", "package"],
                capture_output=True, text=True, timeout=240, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                unavailable(f"Maven could not resolve {pom.name}: {done.stdout[-600:]}{done.stderr[-300:]}")
            partial.rename(folder)
    return folder
