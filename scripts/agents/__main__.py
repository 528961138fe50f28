"""Run agent hosts end to end with a scripted model, and print what reached the model: `make agents`."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import anyio.lowlevel
import uvicorn

from .frameworks import FRAMEWORKS, Framework
from .hosts import HOSTS, AgentHost
from .model import ScriptedModel, Transcript, application
from .peer import endpoints
from .plan import SLOW_SECONDS, Step, steps

ROOT: Final = Path(__file__).resolve().parents[2]
TAP: Final = ROOT / "scripts" / "clients" / "tap.py"
BEGINS, ENDS = "<!-- agents -->\n", "<!-- end of agents -->\n"
HOST_TIMEOUT: Final = 240
"""Seconds for a host, besides those of the slow call."""
AT_ONCE: Final = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a host did.

    Attributes:
        host: The host.
        version: Its version.
        protocol: The version of MCP that it used.
        transcript: What reached the model.
        problem: How it failed; empty if it ended well.
        next_run: What a second run shows of tools that the first one did not offer, because they were discovered late.
    """

    host: AgentHost | Framework
    version: str
    protocol: str
    transcript: Transcript
    problem: str
    next_run: Transcript | None = None

    def cells(self, plan: Sequence[Step]) -> list[str]:
        """Return what became of each step."""
        cells = [judge(number, step, self.transcript) for number, step in enumerate(plan)]
        if self.next_run is not None:
            cells[-1] = f"in the next run: {judge(0, plan[-1], self.next_run)}"
        return cells

    def is_expected(self, plan: Sequence[Step]) -> bool:
        """Return whether every step ended as the row of the host says; a problem is never expected."""
        wanted = [self.host.differences.get(step.title, "yes") for step in plan]
        return not self.problem and self.cells(plan) == wanted


@asynccontextmanager
async def serve_model(model: ScriptedModel) -> AsyncIterator[str]:
    """Serve a model on loopback; yield its URL."""
    config = uvicorn.Config(application(model), host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        while not server.started:  # uvicorn has no event for it
            await anyio.lowlevel.checkpoint()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True


def run_host(host: AgentHost | Framework, model: str, manifest: Path, home: Path, seconds: float) -> tuple[str, str]:
    """Run a host until it ends; return the version of the protocol, and what is wrong."""
    note = home / "protocol"
    note.write_text("none", encoding="utf-8")
    server = [sys.executable, str(TAP), str(note), sys.executable, "-m", "utcp_ws_mcp", str(manifest)]
    run = host.prepare(home, model, server)
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", "NO_COLOR": "1", "CI": "1",
               "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **run.environ}  # fmt: skip
    work = home / "work"
    work.mkdir(exist_ok=True)
    with (home / "output").open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            run.command, cwd=work, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(HOST_TIMEOUT + seconds)
            problem = f"exit code {code}" if code else ""
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            problem = "did not end"
    return note.read_text(encoding="utf-8"), problem


async def try_host(host: AgentHost | Framework, plan: Sequence[Step], keep: Path | None) -> Outcome:
    """Run a host with endpoints and a model of its own."""
    model = ScriptedModel(plan)
    seconds = max(step.arguments.get("seconds", 0) for step in plan)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        async with endpoints(home) as manifest:
            async with serve_model(model) as url:
                protocol, problem = await anyio.to_thread.run_sync(run_host, host, url, manifest, home, seconds)
            if keep:
                _keep(keep / re.sub(r"\W+", "-", host.title.lower()), home, model.transcript)
            next_run = None
            if judge(len(plan) - 1, plan[-1], model.transcript) != "yes":
                late = ScriptedModel(plan[-1:])
                async with serve_model(late) as url:
                    await anyio.to_thread.run_sync(run_host, host, url, manifest, home, 0.0)
                next_run = late.transcript
    return Outcome(host, host.version(), protocol, model.transcript, problem, next_run)


def _keep(target: Path, home: Path, transcript: Transcript) -> None:
    target.mkdir(parents=True, exist_ok=True)
    (target / "output").write_bytes((home / "output").read_bytes())
    (target / "requests.json").write_text(json.dumps(transcript.requests, indent=1), encoding="utf-8")


def judge(number: int, step: Step, transcript: Transcript) -> str:
    """Return the cell of a step: "yes", or what is different."""
    if (result := transcript.results.get(number)) is None:
        return "not offered" if number in transcript.missing else "not called"
    plain = result.replace('\\"', '"').replace("\\\\", "\\").replace('\\"', '"')
    missing = [text for text in step.expected if text not in plain]
    if not missing or (step.also_accepted and step.also_accepted in plain):
        return "yes"
    return "not shown" if step.kind == "image" else "other"


def table(outcomes: Sequence[Outcome], plan: Sequence[Step]) -> str:
    """Return the table of all hosts."""
    columns = ["host", "version", "protocol", "a tool's name", *(step.title for step in plan)]
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for outcome in outcomes:
        name = outcome.transcript.names.get(0, "")
        cells = outcome.cells(plan)
        title = outcome.host.title + (f" ({outcome.problem})" if outcome.problem else "")
        lines.append(
            f"| {' | '.join([title, outcome.version, outcome.protocol, f'`{name}`' if name else '', *cells])} |"
        )
    return "\n".join(lines) + "\n"


async def run_all(hosts: Sequence[AgentHost | Framework], plan: Sequence[Step], keep: Path | None) -> list[Outcome]:
    """Run the hosts, a few at once."""
    limiter = anyio.CapacityLimiter(AT_ONCE)
    outcomes: dict[str, Outcome] = {}

    async def one(host: AgentHost | Framework) -> None:
        async with limiter:
            outcomes[host.title] = await try_host(host, plan, keep)
            print(host.title, outcomes[host.title].problem or "ended", file=sys.stderr, flush=True)

    async with anyio.create_task_group() as tasks:
        for host in hosts:
            tasks.start_soon(one, host)
    return [outcomes[host.title] for host in hosts]


def main() -> None:
    """Print the table; exit with 1 if a step of a host differs from what its row expects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="write the table into this page, replacing the previous one")
    parser.add_argument("--only", default="", help="only hosts whose title contains one of these texts, with commas")
    parser.add_argument("--slow-seconds", type=float, default=SLOW_SECONDS, help="duration of the slow call")
    parser.add_argument("--keep", type=Path, help="a folder for the output and the requests of each host")
    given = parser.parse_args()
    chosen = [host for host in (*HOSTS, *FRAMEWORKS) if any(part in host.title for part in given.only.split(","))]
    plan = steps(given.slow_seconds)
    outcomes = anyio.run(run_all, chosen, plan, given.keep)
    rows = table(outcomes, plan)
    print(rows, end="")
    if given.into:
        page = given.into.read_text(encoding="utf-8")
        before, rest = page.split(BEGINS)
        given.into.write_text(f"{before}{BEGINS}{rows}{ENDS}{rest.split(ENDS)[1]}", encoding="utf-8")
    unexpected = [outcome.host.title for outcome in outcomes if not outcome.is_expected(plan)]
    if unexpected:
        sys.exit(f"otherwise than expected: {', '.join(unexpected)}")


if __name__ == "__main__":
    main()
