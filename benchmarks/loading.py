"""`python -m benchmarks.loading`: `check` of a manifest with 677 tools, each with a message of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from .command import Size, run
from .comparison import Comparison, Target

TOOLS: Final = 677
"""As many as the DevTools protocol of Chromium has."""

CHECK, SMALL = f"`check`, {TOOLS} tools", "`check`, 1 tool"


def measure(size: Size) -> Sequence[Comparison]:
    """Compare with a manifest of one tool, which shows what the start of the program takes."""
    taken = defaultdict(list)
    with TemporaryDirectory() as folder:
        files = {CHECK: _write(Path(folder) / "many.json", TOOLS), SMALL: _write(Path(folder) / "one.json", 1)}
        for number in range(size.of(7, 1) + 1):
            for label, file in files.items():
                began = time.perf_counter()
                command = [sys.executable, "-m", "utcp_ws_mcp", "check", str(file)]
                if subprocess.run(command, check=False, capture_output=True).returncode:
                    raise RuntimeError(f"{label} failed")
                if number:  # the first round only warms the caches of the file system
                    taken[label].append(time.perf_counter() - began)
    more = [many - one for many, one in zip(taken[CHECK], taken[SMALL], strict=True)]
    rounds = {**taken, "what the tools add": more}
    targets = {"what the tools add": Target(0.4, absolute=True)}
    return [Comparison(f"`check` of {TOOLS} tools", "ms", "what the tools add", rounds, targets=targets)]


def _write(file: Path, count: int) -> Path:
    reply = {"match": "message.id == request_id", "error": "message.error is defined", "result": "message.result"}
    tools = [_tool(number) for number in range(count)]
    file.write_text(json.dumps({"name": "m", "url": "ws://127.0.0.1:9222/", "reply": reply, "tools": tools}, indent=1))
    return file


def _tool(number: int) -> dict[str, Any]:
    names = [f"argument{position}" for position in range(number % 6)]
    types = ("string", "integer", "boolean", "number")
    properties = {
        name: {"type": types[position % 4], "description": f"What the method {number} does with {name}."}
        for position, name in enumerate(names)
    }
    params = {name: f"{{{{ args.{name} }}}}" for name in names}
    message = {"id": "{{ request_id }}", "method": f"Domain.method{number}", "params": params}
    return {
        "name": f"domain_method{number}",
        "description": f"Calls the method {number} of a domain, as its documentation describes it.",
        "inputs": {"type": "object", "properties": properties, "required": names[:2]},
        "tool_call_template": {"message": message},
    }


if __name__ == "__main__":
    run(measure)
