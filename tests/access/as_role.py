"""A process that opens a store's files as one of a real server's users: `python -m tests.access.as_role PATH CONFIG`.

The embedded engine has one user. This one is given the grants and row policies of the access files, so that ClickHouse's own
access control judges; questions come on stdin, one JSON list, answers go to stdout. Imports nothing of the product.
"""

from __future__ import annotations

import json
import sys

import chdb


def main() -> None:
    path, config = sys.argv[1:]
    connection = chdb.connect(f"{path}?config-file={config}")
    out = []
    for sql in json.load(sys.stdin):
        try:
            out.append({"rows": connection.query(sql, "JSONCompactEachRow").bytes().decode().splitlines()})
        except Exception as error:  # whatever the engine says is the answer
            out.append({"error": str(error)})
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
