"""What a worker judges by: the versions in the files it was given, or those on the topic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from processors.agreement import AgreementError, Agreements
from streams.agreements.files import read
from streams.agreements.topic import AgreementsReader
from streams.config import Settings
from streams.errors import ConfigurationError
from streams.registry import Registry


class Source(Protocol):
    """Where the agreement comes from. `current` may become another object at any time: ask again."""

    @property
    def current(self) -> Agreements: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Given:
    """Versions that stay as they are."""

    current: Agreements

    def close(self) -> None:
        """Nothing to close."""


def read_agreement(path: Path) -> Agreements:
    """The versions in a file or folder. Raises ConfigurationError naming file, line, place and mend."""
    try:
        return read(path)
    except AgreementError as error:
        raise ConfigurationError(f"agreement {error}") from None


def open_source(settings: Settings, registry: Registry) -> Source:
    """The files of `settings.agreement`, else the topic, followed. Blocking; close it at the end."""
    if settings.agreement is not None:
        return Given(read_agreement(settings.agreement))
    return AgreementsReader(settings, registry)
