"""Small messages and descriptors between processes, over a socket that keeps messages apart."""

from __future__ import annotations

import json
import socket
from typing import Any

_MESSAGE_BYTES = 64 * 1024
_MOST_FDS = 16


def send(channel: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Sends a small message and descriptors."""
    socket.send_fds(channel, [json.dumps(message).encode()], list(fds))


def receive(channel: socket.socket) -> dict[str, Any]:
    """The next message. Raises EOFError when the other side is gone."""
    return receive_with_fds(channel)[0]


def receive_with_fds(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message and the descriptors that came with it. Raises EOFError when the other side is gone."""
    data, fds, _flags, _ = socket.recv_fds(channel, _MESSAGE_BYTES, _MOST_FDS)
    if not data:
        raise EOFError
    return json.loads(data), fds
