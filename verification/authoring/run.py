"""Carry out one plan, and judge its answer."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .endpoints import IN_PROCESS, real
from .model import ScriptedModel, fill, scripted_model
from .plan import Plan

INHERITED = ("PATH", "PYTHONPATH", "HOME", "LANG")


@dataclass(frozen=True, slots=True)
class Report:
    """What a plan came to: `problem` is empty if the answer was right."""

    name: str
    calls: int
    tokens_read: int
    tokens_written: int
    problem: str = ""


async def carry_out(plan: Plan) -> Report:
    """Start the server of a plan, let the model do its work, and ask the saved tool.

    Raises:
        ServerNotReady: if a real server does not start.
    """
    endpoint = IN_PROCESS[plan.server] if plan.server in IN_PROCESS else real(plan.server)
    async with endpoint() as values:
        host = urlsplit(values["URL"]).netloc
        environ = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environ |= {name: values[value] for name, value in plan.variables.items()}
        options = ["--allow-host", host]
        for name in plan.variables:
            options += ["--allow-variable", f"{name}@{host}"]
        with tempfile.TemporaryDirectory() as folder:
            async with scripted_model(Path(folder), options, values, environ) as model:
                problem = await _work(plan, model)
                leaked = _leaks(Path(folder), environ, plan)
    return Report(plan.name, model.calls, model.tokens_read, model.tokens_written, problem or leaked)


async def _work(plan: Plan, model: ScriptedModel) -> str:
    """Follow a plan; return what went wrong."""
    await model.begin(str(fill(plan.documentation, model.values)))
    for tool, arguments in plan.calls:
        await model.call(tool, arguments)
    last, arguments = plan.calls[-1]
    if last == "check_manifest":  # what was right is saved as it is
        await model.call("save_manifest", {"name": plan.server, "manifest": arguments["manifest"]})
    answer = await model.call(*plan.question)
    if model.failures:
        return model.failures[0]
    return "" if plan.answer in answer else f"expected {plan.answer!r} in the answer: {answer[:300]}"


def _leaks(folder: Path, environ: Mapping[str, str], plan: Plan) -> str:
    for file in folder.iterdir():
        text = file.read_text()
        for name in plan.variables:
            if len(environ[name]) > 8 and environ[name] in text:
                return f"the value of {name} is in {file.name}"
    return ""
