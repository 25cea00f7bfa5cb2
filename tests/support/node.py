"""Node programs of tests with their locked libraries: installed once into .cache/. Imports nothing of the product."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.support.tools import CACHE, require, unavailable


@cache
def installed(source: Path) -> Path:
    """A copy of the folder `source` (programs, package.json, its lock) with the libraries, kept until either changes."""
    npm = require("npm", "npm")
    files = sorted(path for path in source.iterdir() if path.suffix in {".js", ".json"})
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    folder = CACHE / f"{source.parent.name}-node-{digest}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs in one tree: the second waits for the first one's download
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            for path in files:
                shutil.copy(path, partial)
            done = subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=partial, capture_output=True, text=True, timeout=240, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                unavailable(f"npm could not install the libraries of {source}: {done.stderr[-800:]}")
            partial.rename(folder)
    return folder
