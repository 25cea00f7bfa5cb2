"""The errors a user of the command line can meet, and the exit code each ends with.

    BatonError (1)
    |-- ConfigurationError (2)   a setting is wrong; nothing was started
    |-- InputError (1)           a file or line cannot be read: names file, place and what was expected
    `-- UnavailableError (1)     a broker, registry or store does not answer: names address and cause

The command line prints the message as one line; every other exception is a defect and shows its traceback.
"""

from __future__ import annotations


class BatonError(Exception):
    """Something the user can mend; the message says what and how."""

    exit_code = 1


class ConfigurationError(BatonError):
    exit_code = 2


class InputError(BatonError):
    pass


class UnavailableError(BatonError):
    pass
