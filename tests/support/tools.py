"""External programs that tests need: found, or the test is skipped with the reason; in CI such a skip is a failure.

Imports nothing of the product.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final, NoReturn

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
"""The repository."""
CACHE: Final = ROOT / ".cache"
"""Downloads that outlive a test run; ignored by git."""


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def unavailable(reason: str) -> NoReturn:
    """Skips the test; where CI=true it fails it, for there nothing may be missing."""
    if in_ci():
        pytest.fail(f"CI must have it: {reason}", pytrace=False)
    pytest.skip(reason)


def require(program: str, package: str) -> str:
    """Path of a program; `package` names what to install where it is missing."""
    path = shutil.which(program)
    if path is None:
        unavailable(f"{program} is not installed (Debian package {package})")
    return path
