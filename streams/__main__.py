"""`python -m streams` is `baton`; as the child of a supervisor it ends with it."""

import os

from streams.cli import main
from streams.embedded.supervisor import PARENT, die_with

if PARENT in os.environ:
    die_with(int(os.environ[PARENT]))
main()
