"""`python -m streams` is `baton`."""

from streams.cli import main

main()
