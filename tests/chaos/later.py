"""The next version of the workers, as it may come: a copy of the source in which every record that they write has a further
optional field, and everything that the fold packs has one more at its end.

All that a version may change without a stop of all workers (docs/decisions, FULL_TRANSITIVE; processors/state.py).
"""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_PACKAGES: Final = ("processors", "schemas", "streams")
_PACKED: Final = ("facts", "state")
"""Modules of processors with what is packed."""
_WRITTEN: Final = ("DeadLetter", "LaneForward", "LanePosition", "LeadState", "LeadTransition", "SlaEvent")
_FIELD: Final = {"name": "later", "type": ["null", "string"], "doc": "Of the next version.", "default": None}
VERSION: Final = "later"
"""What it calls itself in LanePosition.worker_version."""
_FILLED: Final = f"""

_encode = Encoder.encode


def _encode_later(self, name, record):
    return _encode(self, name, {{**record, "later": "of the next version"}} if name in {_WRITTEN!r} else record)


Encoder.encode = _encode_later
"""


def make(folder: Path) -> Path:
    """Makes it in `folder`: a worker that is started there is of the next version."""
    for package in _PACKAGES:
        shutil.copytree(_ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _WRITTEN:
        file = folder / "schemas" / "outputs" / f"{name}.avsc"
        schema = json.loads(file.read_text())
        schema["fields"].insert(1, _FIELD)  # the first field is read without the schema
        file.write_text(json.dumps(schema))
    for name in _PACKED:
        file = folder / "processors" / f"{name}.py"
        file.write_text(_longer(file.read_text()))
    _append(folder / "processors" / "state.py", "\nFOLD_VERSION += 1\n")
    _append(folder / "schemas" / "wire.py", _FILLED)
    _append(folder / "streams" / "worker" / "intake.py", f"\nVERSION = {VERSION!r}\n")
    return folder


def _longer(source: str) -> str:
    """One more field at the end of every class that is packed as an array."""
    lines = source.splitlines()
    packed = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and any(keyword.arg == "array_like" for keyword in node.keywords)
    ]
    assert packed, "nothing is packed here any more"
    for node in reversed(packed):
        last = [part for part in node.body if isinstance(part, ast.AnnAssign)][-1]
        assert last.end_lineno is not None
        lines.insert(last.end_lineno, '    later: str = "of the next version"')
    return "\n".join(lines) + "\n"


def _append(file: Path, text: str) -> None:
    with file.open("a") as out:
        out.write(text)
