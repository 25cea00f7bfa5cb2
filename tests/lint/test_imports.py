"""The walls between the folders: that they stand, and that the check which guards them notices when one is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lint.purity import impurities
from tests.support.tools import ROOT

_PACKAGES = ("processors", "schemas", "streams", "deploy")


def _lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [program, "--no-cache"], cwd=root, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages in a folder of their own, so that a planted fault touches nobody's tree."""
    root = tmp_path_factory.mktemp("planted")
    shutil.copy(ROOT / "pyproject.toml", root)
    for package in _PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    assert _lint_imports(root).returncode == 0, "the copy must pass before anything is planted"
    return root


def test_the_walls_stand() -> None:
    result = _lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("package", "statement"),
    [
        ("processors", "import confluent_kafka"),
        ("processors", "import aiokafka.client"),
        ("processors", "import faust"),
        ("processors", "from clickhouse_connect import get_client"),
        ("processors", "import time"),
        ("processors", "from random import random"),
        ("processors", "import os"),
        ("processors", "from streams import topics"),
        ("processors", "def later() -> None:\n    import confluent_kafka"),
        ("schemas", "import confluent_kafka"),
        ("schemas", "from streams import topics"),
        ("schemas", "import processors"),
    ],
)
def test_a_forbidden_import_is_noticed(copy: Path, package: str, statement: str) -> None:
    planted = copy / package / "planted.py"
    planted.write_text(f'"""Planted."""\n\n{statement}\n')
    try:
        result = _lint_imports(copy)
    finally:
        planted.unlink()
    assert result.returncode != 0, result.stdout
    assert f"{package}.planted" in result.stdout


def test_processors_reads_no_clock_and_does_no_io() -> None:
    found = [f"{path.relative_to(ROOT)}:{fault}" for path in sorted((ROOT / "processors").rglob("*.py"))
             for fault in impurities(path.read_text())]  # fmt: skip
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\nx = datetime.now()",
        "import datetime\nx = datetime.datetime.utcnow()",
        "from datetime import date\nx = date.today()",
        "import uuid\nx = uuid.uuid4()",
        "from uuid import uuid4\nx = uuid4()",
        "x = open('a').read()",
        "print('a')",
        "x = __import__('time').time()",
        "import importlib",
        "import sqlite3",
        "import urllib.request",
        "def f():\n    import requests",
    ],
)
def test_an_impurity_is_noticed(source: str) -> None:
    assert impurities(source) != []


def test_pure_code_passes() -> None:
    assert impurities("from datetime import UTC, datetime\nx = datetime.fromtimestamp(0, UTC)") == []
