"""The command line. Each module of this package holds one family of commands; what they do lives elsewhere."""

from streams.cli.main import main

__all__ = ["main"]
