"""Keeps the contracts of a release, so that later ones are held against them: schemas/released/VERSION/.

python -m schemas.release            writes the contracts as those of the version in pyproject.toml
python -m schemas.release --again    ...over what stands there: only while that version has not been given to anybody

Refuses, with exit code 1, contracts that are not FULL_TRANSITIVE compatible with every release kept: registries would too.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from schemas.catalog import CATALOG
from schemas.compatibility import incompatible

_ROOT: Final = Path(__file__).resolve().parent
RELEASED: Final = _ROOT / "released"


def released() -> dict[str, dict[str, Mapping[str, Any]]]:
    """Version -> record name -> schema, of every release kept."""
    return {
        folder.name: {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.avsc"))}
        for folder in sorted(RELEASED.iterdir())
        if folder.is_dir()
    }


def problems(apart_from: str | None = None) -> list[str]:
    """What makes the contracts of now incompatible with a release, `apart_from` one."""
    found: list[str] = []
    for version, schemas in released().items():
        if version == apart_from:
            continue
        for name, schema in schemas.items():
            if name not in CATALOG:
                found.append(f"{name}: was released with {version} and is gone: records of it are still in topics")
                continue
            found += [f"{name}, against {version}: {problem}" for problem in incompatible(CATALOG[name].schema, schema)]
    return found


def main(arguments: list[str]) -> int:
    version = tomllib.loads((_ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    folder = RELEASED / version
    again = "--again" in arguments
    if folder.exists() and not again:
        print(f"{folder.name} is released: give pyproject.toml another version, or --again", file=sys.stderr)
        return 1
    found = problems(apart_from=version)
    if found:
        print("\n".join(found), file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.avsc"):
        old.unlink()
    for name, contract in CATALOG.items():
        text = json.dumps(contract.schema, indent=2, ensure_ascii=False)
        (folder / f"{name}.avsc").write_text(f"{text}\n", encoding="utf-8")
    print(f"kept: {len(CATALOG)} contracts of {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
