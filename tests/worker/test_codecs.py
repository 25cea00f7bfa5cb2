"""Whatever codec a producer compresses with, the worker's consumer can read it."""

from __future__ import annotations

import pytest
from aiokafka import codec


@pytest.mark.parametrize("name", ["gzip", "snappy", "lz4", "zstd"])
def test_the_codec_is_there_and_gives_back_what_it_took(name: str) -> None:
    assert getattr(codec, f"has_{name}")()
    data = b"lead" * 1000
    assert bytes(getattr(codec, f"{name}_decode")(getattr(codec, f"{name}_encode")(data))) == data
