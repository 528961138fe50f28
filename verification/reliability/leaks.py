"""Count the resources that this process has not released: tasks, and sockets to a port."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

_FD: Final = Path("/proc/self/fd")
_TABLES: Final = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))


def sockets_to(port: int) -> int:
    """Return the number of sockets of this process that are connected or connecting to a port."""
    inodes = set()
    for table in _TABLES:
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[2].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return sum(_target(entry) in inodes for entry in _FD.iterdir())


def tasks() -> set[asyncio.Task[object]]:
    """Return the tasks that have not ended."""
    return {task for task in asyncio.all_tasks() if not task.done()}


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:  # the descriptor of the listing itself is closed by now
        return ""
