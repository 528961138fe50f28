"""Serve the page on loopback until Ctrl-C, and open it in a browser."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import webbrowser
from typing import Final

import uvicorn
from fastapi import FastAPI
from nicegui import app as page_app
from nicegui import ui
from starlette.formparsers import MultiPartParser

from ...importers.reading import MAX_SOURCE_BYTES
from ...observability.logging import configure_logging
from ...server.http.graceful import GracefulServer
from ..gate import LOOPBACK, StudioGate
from ..ports import listen
from ..session import Sessions, StudioOptions, open_session
from .page import TITLE, add_page

TOKEN_BYTES: Final = 24
SHUTDOWN_SECONDS: Final = 1
"""Seconds that open pages may take to end."""

RECONNECT_SECONDS: Final = 20
"""Seconds that a page is kept while its browser is away, such as a laptop that sleeps."""


async def run_studio(options: StudioOptions, port: int | None, *, open_browser: bool) -> None:
    """Serve the page until a signal.

    Args:
        options: What the page works on.
        port: The port; None: the first free one.
        open_browser: Whether to open the page; without a browser its address is printed only.

    Raises:
        BridgeError: if the port cannot be used, or the manifest cannot be read.
    """
    open_session(options)  # a manifest that cannot be read is an error of the command, not one of the page
    with listen(port) as sock:
        token, number = secrets.token_urlsafe(TOKEN_BYTES), sock.getsockname()[1]
        url = f"http://{LOOPBACK}:{number}/{token}/"
        sessions = Sessions(options)
        configure_logging("warning", sessions.redact)
        gate = StudioGate(_make_app(token, sessions), token, number)
        page_app.on_shutdown(sessions.close)
        page_app.on_startup(lambda: _announce(url, open_browser=open_browser))
        config = uvicorn.Config(
            gate,
            ws="wsproto",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        await GracefulServer(config, lambda: None).serve([sock])


def _make_app(token: str, sessions: Sessions) -> FastAPI:
    """Return the application with the page at the token."""
    MultiPartParser.spool_max_size = MAX_SOURCE_BYTES + 1  # a recording has secrets: it stays in memory
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_page(sessions)
    ui.run_with(
        app,
        mount_path=f"/{token}",
        title=TITLE,
        dark=None,
        language="en-US",
        reconnect_timeout=RECONNECT_SECONDS,
        binding_refresh_interval=None,
        gzip_middleware_factory=None,  # the page comes from this machine
        show_welcome_message=False,
    )
    return app


def _announce(url: str, *, open_browser: bool) -> None:
    opened = open_browser and _has_display()
    hint = "" if opened else " Open it in a browser on this machine."
    print(f"The studio is at {url} (press Ctrl-C to end it).{hint}", flush=True)
    if opened:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _has_display() -> bool:
    """Return whether a browser with a window can be opened; one of text would take the terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
