"""wrk, which loads an HTTP server: each of its connections sends a request when it has the response to the last one.

It takes a fraction of the time of a client in Python, which shares the machine with what is measured.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """
wrk.method = "POST"
wrk.body = {body}
{headers}
failed = 0
local threads = {{}}

function setup(thread)
  table.insert(threads, thread)
end

function response(status, headers, body)
  if status ~= 200 or string.find(body, '"isError":true', 1, true) then failed = failed + 1 end
end

function done(summary, latency, requests)
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  print(string.format("calls %d seconds %f failed %d", summary.requests, summary.duration / 1e6,
                      lost + threads[1]:get("failed")))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What was answered, and in how many seconds."""

    calls: int
    seconds: float


class Wrk:
    """Sends one request again and again.

    Raises:
        RuntimeError: if wrk is not installed.
    """

    def __init__(self, folder: Path, body: bytes, headers: Mapping[str, str]) -> None:
        if shutil.which("wrk") is None:
            raise RuntimeError("this measurement needs wrk: install the package of that name (Debian, Homebrew)")
        lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
        self._script = folder / "request.lua"
        self._script.write_text(SCRIPT.format(body=json.dumps(body.decode()), headers="\n".join(lines)))

    def run(self, url: str, connections: int, seconds: int) -> Load:
        """Load a server.

        Raises:
            RuntimeError: if wrk fails, or a request does.
        """
        command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
        ended = subprocess.run([*command, "--script", self._script, url], capture_output=True, text=True, check=False)
        result = re.search(r"calls (\d+) seconds ([\d.]+) failed (\d+)", ended.stdout)
        if result is None or int(result[3]) or not int(result[1]):
            raise RuntimeError(f"calls failed: {ended.stdout[-500:]} {ended.stderr[-500:]}")
        return Load(int(result[1]), float(result[2]))
