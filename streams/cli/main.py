"""`baton`: collects the commands, prints a user's errors as one line, ends with their exit code."""

from __future__ import annotations

import importlib
import sys
from typing import Final

import typer

from streams.errors import BatonError

_FAMILIES: Final = (
    "demo",
    "replay",
    "agreement",
    "publish",
    "importing",
    "worker",
    "status",
    "topics",
    "deadletters",
    "sink",
    "store",
    "export",
    "lead",
    "erase",
    "embedded",
)
"""Modules of streams.cli that define `register(app)`."""


def build() -> typer.Typer:
    app = typer.Typer(
        name="baton", help="No lead dropped at the hand-off.", no_args_is_help=True, pretty_exceptions_enable=False,
        add_completion=False,
    )  # fmt: skip
    for family in _FAMILIES:
        importlib.import_module(f"streams.cli.{family}").register(app)
    return app


def main() -> None:
    try:
        build()()  # usage errors end with exit code 2 in there
    except BatonError as error:
        print(f"baton: {error}", file=sys.stderr)  # the user's answer, not a log line
        sys.exit(error.exit_code)
