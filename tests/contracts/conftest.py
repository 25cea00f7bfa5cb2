"""The registries that the contract suite runs against."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["embedded", "real"])
def registry_url(request: pytest.FixtureRequest) -> str:
    """URL of the embedded registry, then of the real one."""
    return str(request.getfixturevalue("apicurio_url" if request.param == "real" else "embedded_registry_url"))
