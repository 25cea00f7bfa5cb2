"""The container image: what can be known of it without an engine. The wheel it installs is built for real."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.tools import ROOT

_DOCKERFILE = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "processors", "schemas", "streams", "deploy")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in the wheel, built from what the Dockerfile copies."""
    root = tmp_path_factory.mktemp("image")
    for name in _SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--no-index",
         "--wheel-dir", root / "out", root],
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (file,) = (root / "out").glob("baton-*.whl")
    return set(zipfile.ZipFile(file).namelist())


def test_the_wheel_holds_every_module_and_every_file_that_is_read_at_run_time(wheel: set[str]) -> None:
    wanted = {
        str(path.relative_to(ROOT))
        for folder, endings in {
            "processors": (".py",), "schemas": (".py", ".avsc"), "streams": (".py", ".yaml"),
            "deploy/clickhouse": (".py", ".sql"),
        }.items()
        for path in (ROOT / folder).rglob("*")
        # Released contracts are what tests hold the present ones against.
        if path.suffix in endings and not {"__pycache__", "released"} & {*path.parts}
    }  # fmt: skip
    assert len([name for name in wanted if name.endswith(".avsc")]) >= 20
    assert wanted - wheel == set()


def test_the_wheel_holds_no_tests(wheel: set[str]) -> None:
    assert not [name for name in wheel if name.startswith(("tests/", "benchmarks/"))]


def test_what_is_copied_reaches_the_builder() -> None:
    copied = {
        name.rstrip("/") for line in re.findall(r"^COPY (?!--)(.+) \S+$", _DOCKERFILE, re.M) for name in line.split()
    }
    assert copied == {*_SOURCES, "requirements"}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == copied


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\S+)$", _DOCKERFILE, re.M)
    assert users, "no USER"
    assert int(users[-1]) > 0, "a number, so that it can be checked by who runs it"
    assert _DOCKERFILE.index("\nUSER ") < _DOCKERFILE.index("\nENTRYPOINT ")


def test_bases_are_pinned_to_a_release() -> None:
    for base in re.findall(r"^FROM (\S+)", _DOCKERFILE, re.M):
        assert re.search(r":\d+\.\d+\.\d+-", base), base


def test_everything_installed_is_hashed(tmp_path: Path) -> None:
    for install in re.findall(r"pip install (.+)", _DOCKERFILE):
        assert "--require-hashes" in install or "--no-deps /wheels/" in install, install
    (program,) = re.findall(r"awk '(.+)' requirements/dev.txt", _DOCKERFILE)
    done = subprocess.run(
        ["awk", program, str(ROOT / "requirements" / "dev.txt")], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("setuptools==")
    assert len(lines) > 1
    assert all("--hash=sha256:" in line or line.strip().startswith("#") for line in lines[1:])
