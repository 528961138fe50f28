"""The socket that the page is served on."""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import suppress
from typing import Final

from ..errors import BridgeError, ServeOptionsError
from .gate import LOOPBACK

FIRST_PORT: Final = 8790
"""The port that is tried first if none is given."""

PORTS: Final = 20
"""How many ports are tried, one after the other."""

_BACKLOG: Final = 128


def listen(port: int | None) -> socket.socket:
    """Return a listening socket on loopback.

    Args:
        port: The port; 0 is any free one. None: the first free one of PORTS.

    Raises:
        BridgeError: if the port is used by another program.
    """
    if port is not None:
        return _bind(port)
    for candidate in range(FIRST_PORT, FIRST_PORT + PORTS):
        with suppress(BridgeError):
            return _bind(candidate)
    return _bind(0)


def _bind(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there, it would let two programs listen on one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, port))
        bound.listen(_BACKLOG)
    except OSError as failed:
        bound.close()
        if failed.errno == errno.EADDRINUSE:
            message = f"port {port} is in use, perhaps by another studio. Stop it, or choose another port with --port."
            raise BridgeError(message, code="port-in-use") from None
        message = f"cannot listen on port {port}: {(failed.strerror or 'no permission').lower()}. Choose another port."
        raise ServeOptionsError(message, code="cannot-listen") from None
    return bound
