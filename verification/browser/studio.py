"""A running studio: the process of the command, and its address."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from verification.harness.clock import Clock, cpu_seconds

START_TIMEOUT: Final = 60.0
ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:\d+/\S+/")


@dataclass(frozen=True, slots=True)
class Studio:
    """A running studio.

    Attributes:
        url: The address that it printed, with the token.
        seconds: From the start of the command to the address, without the time in which it waited for a processor.
        process: The process.
    """

    url: str
    seconds: float
    process: Process

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return self.url[: self.url.index("/", len("http://"))]

    @property
    def port(self) -> int:
        """The port."""
        return urlsplit(self.url).port or 0

    @property
    def token(self) -> str:
        """The token in the address."""
        return urlsplit(self.url).path.strip("/")


async def start(folder: Path, *words: str, home: Path | None = None, **environ: str) -> Process:
    """Start the command in a folder, which is also the home folder unless another is given."""
    source = Path(__file__).parents[2] / "src"
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home or folder),
        "PYTHONPATH": str(source),
        "PYTHONUNBUFFERED": "1",
        **environ,
    }
    command = [sys.executable, "-m", "utcp_ws_mcp", "studio", *words]
    return await asyncio.create_subprocess_exec(*command, cwd=folder, env=env, stdout=PIPE, stderr=PIPE)


@asynccontextmanager
async def studio(
    folder: Path, *words: str, home: Path | None = None, variables: Mapping[str, str] | None = None
) -> AsyncIterator[Studio]:
    """Run the studio until the end of the block."""
    process = await start(folder, "--no-browser", *words, home=home, **(variables or {}))
    clock = Clock([process.pid])
    began = clock.now()
    try:
        url = await _read_address(process)
        # Two processes that wait at once are both subtracted; what the command computed is a bound from below.
        yield Studio(url, max(clock.now() - began, cpu_seconds(process.pid)), process)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), START_TIMEOUT)


async def _read_address(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(START_TIMEOUT):
        async for line in process.stdout:
            if found := ADDRESS.search(line.decode()):
                return found.group()
    assert process.stderr is not None
    raise RuntimeError(f"the studio did not start: {(await process.stderr.read()).decode()[-500:]}")
