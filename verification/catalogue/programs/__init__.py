"""The cases by the name of their entry. Each starts a program, calls every tool, and returns the version that ran."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Final

from ..desk import Desk
from . import brokers, browsers, home, machines, media, printers, screens, sockets

MODULES: Final = (brokers, browsers, home, machines, media, printers, screens, sockets)

CASES: Final[dict[str, Callable[[Desk], Awaitable[str]]]] = {
    name.replace("_", "-"): case
    for module in MODULES
    for name, case in inspect.getmembers(module, inspect.iscoroutinefunction)
    if case.__module__ == module.__name__ and not name.startswith("_")
}
"""The cases; `home_assistant` runs the entry home-assistant."""
