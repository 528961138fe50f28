"""The client of fastmcp, which knows only a URL: it registers, logs in with a browser that says yes, and calls."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
import urllib.request
import webbrowser
from importlib.metadata import version

from fastmcp import Client

PATIENCE = 30.0
"""Seconds in which fastmcp must listen for the code: it opens the browser first."""


def say_yes(url: str, *_: object) -> bool:
    """Follow the authorization URL to the address at which fastmcp waits for the code, as a browser does."""
    threading.Thread(target=_follow, args=[url], daemon=True).start()
    return True


def _follow(url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=PATIENCE).read()
        except OSError:  # nothing listens at the address of the redirect yet
            time.sleep(0.05)
        else:
            return


async def observe(url: str) -> dict[str, object]:
    """Log in, list and call."""
    webbrowser.open = say_yes
    async with Client(url, auth="oauth") as client:
        listed = [tool.name for tool in await client.list_tools()]
        called = (await client.call_tool("demo_add", {"a": 2, "b": 3})).structured_content
    return {"client": f"fastmcp {version('fastmcp')}", "listed": listed, "sum": called}


print(json.dumps(asyncio.run(observe(sys.argv[1]))))
