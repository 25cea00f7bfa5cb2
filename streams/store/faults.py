"""Errors of the embedded store as a ClickHouse server tells them: code, text, HTTP status. No I/O.

Source of the status codes: ClickHouse, src/Server/HTTP/exceptionCodeToHTTPStatus.cpp.
"""

from __future__ import annotations

import re
from typing import Final

ACCESS_DENIED: Final = (497, "ACCESS_DENIED")
AUTHENTICATION_FAILED: Final = (516, "AUTHENTICATION_FAILED")
BAD_ARGUMENTS: Final = (36, "BAD_ARGUMENTS")
CHECKSUM_DOESNT_MATCH: Final = (40, "CHECKSUM_DOESNT_MATCH")
CANNOT_DECOMPRESS: Final = (271, "CANNOT_DECOMPRESS")
INTO_OUTFILE_NOT_ALLOWED: Final = (358, "INTO_OUTFILE_NOT_ALLOWED")
INVALID_SESSION_TIMEOUT: Final = (374, "INVALID_SESSION_TIMEOUT")
NOT_IMPLEMENTED: Final = (48, "NOT_IMPLEMENTED")
QUERY_IS_TOO_LARGE: Final = (307, "TOO_MANY_BYTES")
READONLY: Final = (164, "READONLY")
SESSION_IS_LOCKED: Final = (373, "SESSION_IS_LOCKED")
SESSION_NOT_FOUND: Final = (372, "SESSION_NOT_FOUND")
SYNTAX_ERROR: Final = (62, "SYNTAX_ERROR")
TOO_LARGE_SIZE_COMPRESSED: Final = (134, "TOO_LARGE_SIZE_COMPRESSED")
TOO_MANY_SESSIONS: Final = (202, "TOO_MANY_SIMULTANEOUS_QUERIES")
UNKNOWN_COMPRESSION_METHOD: Final = (89, "UNKNOWN_COMPRESSION_METHOD")
UNKNOWN: Final = (1002, "UNKNOWN_EXCEPTION")

_CODE: Final = re.compile(r"Code: (\d+)\. ")
_STATUS: Final = {
    400: {6, 25, 26, 27, 36, 38, 41, 42, 43, 53, 62, 69, 70, 72, 117, 168, 305, 321, 427, 455, 456, 457},
    401: {194},
    403: {192, 193, 497, 512, 516},
    404: {16, 44, 46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 372, 511},
    408: {159},
    411: {381},
    413: {307},
    501: {48},
    503: {74, 202, 203, 209},
}
_STATUS_OF: Final = {code: status for status, codes in _STATUS.items() for code in codes}


class Fault(Exception):  # noqa: N818  # an answer to the client, not a defect
    """A refusal with ClickHouse's own code, e.g. Fault(*SYNTAX_ERROR, "Empty query")."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message} ({name})")
        self.code = code


def describe(error: BaseException, version: str) -> tuple[int, str]:
    """(code, text as a server words it) of a Fault or of an exception that came out of the engine."""
    text = str(error)
    found = _CODE.search(text)
    if found is None:
        # A defect of the store, not of the query: the type is told, its text may hold anything.
        code, name = UNKNOWN
        return code, f"Code: {code}. DB::Exception: {type(error).__name__} in the embedded store ({name})"
    text = text[found.start() :].rstrip()
    if "(version " not in text:
        text = f"{text} (version {version} (embedded))"
    return int(found.group(1)), text


def http_status(code: int) -> int:
    return _STATUS_OF.get(code, 500)
