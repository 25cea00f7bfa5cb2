"""Who serves a store directory: one process at a time, and where it answers.

DIR/lock        held (flock) for as long as the owner lives; the kernel lets go of it even after kill -9
DIR/serving.json  where the owner answers; means nothing unless the lock is held
DIR/engine/     the engine's own files
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from streams.errors import BatonError, InputError


@dataclass(frozen=True, slots=True)
class Serving:
    pid: int
    url: str
    database: str


class Ownership:
    """Holds the directory's lock until `release`. Raises BatonError naming the owner where another process has it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.engine_path = directory / "engine"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InputError(f"{directory}: cannot be a store: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            owner = serving(directory)
            where = f"process {owner.pid} serves it at {owner.url}" if owner else "another process has just opened it"
            raise BatonError(f"{directory} is in use: {where}; send queries there, or stop it first") from None

    def announce(self, url: str, database: str) -> None:
        """Tells other processes where this one answers."""
        partial = self.directory / "serving.json.partial"
        partial.write_text(json.dumps(asdict(Serving(os.getpid(), url, database))), encoding="utf-8")
        partial.replace(self.directory / "serving.json")

    def release(self) -> None:
        (self.directory / "serving.json").unlink(missing_ok=True)
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def serving(directory: Path) -> Serving | None:
    """Who serves `directory` now; None: nobody, or somebody who has not said where yet."""
    try:
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        try:
            return Serving(**json.loads((directory / "serving.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
    finally:
        os.close(lock)
    return None
