"""The proxy passes on, holds everything back, and lets it go."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """Port of something that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listener, listener.accept()[0] as peer:
            while chunk := peer.recv(1024):
                peer.sendall(chunk)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield int(listener.getsockname()[1])
    thread.join(5)


def test_nothing_passes_while_it_is_paused_and_nothing_is_lost(echo: int) -> None:
    proxy = Proxy()
    proxy.target = echo
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
        client.sendall(b"before")
        assert client.recv(6) == b"before"
        proxy.pause()
        client.sendall(b"meanwhile")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(9)
        proxy.resume()
        client.settimeout(5)
        assert client.recv(9, socket.MSG_WAITALL) == b"meanwhile"
    proxy.close()
