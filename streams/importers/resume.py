"""Where an interrupted `baton publish` goes on: a small file beside its input, valid for that very input only."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from streams.errors import InputError
from streams.importers.jsonl import Lines, Mark


class ResumePoint:
    """The mark of one input file. A file that has grown since is fine, one whose published lines changed is not."""

    def __init__(self, path: Path) -> None:
        self._input = path
        self.file = path.with_name(path.name + ".baton-resume")

    def read(self) -> Mark | None:
        """The mark; None where there is none. Raises InputError for a file that is none."""
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
            return Mark(int(found["lines"]), int(found["bytes"]), str(found["sha256"]))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{self.file}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{self.file}: no resume record; delete it to start from the first line") from None

    def check(self, lines: Lines, mark: Mark) -> None:
        """Raises InputError unless what was read so far, which is all that `mark` counts, is what was published."""
        if lines.mark() != mark:
            raise InputError(
                f"{self._input}: its first {mark.lines} lines are not those that were published; "
                f"delete {self.file.name} to start from the first line: copies change nothing"
            )

    def write(self, mark: Mark) -> bool:
        """Keeps the mark, at once or not at all. False where the folder takes no file."""
        new = self.file.with_name(self.file.name + ".new")
        record = {"lines": mark.lines, "bytes": mark.size, "sha256": mark.digest}
        try:
            new.write_text(json.dumps(record), encoding="utf-8")
            os.replace(new, self.file)
        except OSError:
            return False
        return True

    def clear(self) -> None:
        with contextlib.suppress(OSError):
            self.file.unlink(missing_ok=True)
