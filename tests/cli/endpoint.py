"""An endpoint in a thread of its own, for commands that run in another process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.server import ServerConnection, serve

# A command that ends without a closing handshake is an error for the endpoint, and its log would be on stderr, which
# is that of a command in this process.
_SILENT = logging.getLogger("tests.cli.endpoint")
_SILENT.setLevel(logging.CRITICAL)


@contextmanager
def served(handle: Callable[[ServerConnection], None], **options: Any) -> Iterator[str]:
    """The URL of an endpoint that gives each connection to `handle`."""
    with serve(handle, "127.0.0.1", 0, logger=_SILENT, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        server.shutdown()
        thread.join()
