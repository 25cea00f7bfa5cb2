"""What import rules by name cannot see: the clock, randomness and I/O through allowed modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

ALLOWED_IMPORTS: Final = frozenset(
    {
        "__future__", "bisect", "collections", "dataclasses", "datetime", "decimal", "difflib", "enum", "functools", "hashlib",
        "heapq", "hmac", "itertools", "json", "math", "operator", "re", "struct", "types", "typing", "uuid", "zoneinfo",
        "lz4", "msgspec", "pydantic", "pydantic_core", "yaml",
        "processors", "schemas",
    }
)  # fmt: skip
"""Top-level modules that processors/ may name; none of them moves bytes by being imported."""
FORBIDDEN_CALLS: Final = frozenset(
    {"now", "utcnow", "today", "uuid1", "uuid4", "open", "print", "input", "__import__", "exec", "eval"}
)


def impurities(source: str) -> list[str]:
    """`line: what` of each import that is not on the list and each call that reads a clock, draws lots or does I/O."""
    return [f"{line}: {what}" for line, what in _faults(ast.parse(source))]


def _faults(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    if alias.name.partition(".")[0] not in ALLOWED_IMPORTS:
                        yield node.lineno, f"import of {alias.name}"
            case ast.ImportFrom(module=str(module), level=0):
                if module.partition(".")[0] not in ALLOWED_IMPORTS:
                    yield node.lineno, f"import from {module}"
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in FORBIDDEN_CALLS:
                yield node.lineno, f"call of {name}"
