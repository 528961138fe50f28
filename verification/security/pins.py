"""S19: no approval is lost and nothing is trusted silently, whatever happens to the file and to the processes.

Several processes approve tools in the same file at the same time, others read it meanwhile, and some are killed in the
middle. Then a file with an approved tool is damaged in every way: the endpoint has changed the tool, and a new bridge
must withhold it and say so, and an approval by the operator must keep the damaged file.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from utcp_ws_mcp.client.pin_store import PinStore
from utcp_ws_mcp.observability import events
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .bridge_fixture import STEP_TIMEOUT, open_bridge
from .endpoint import endpoint, manual_of

ORIGIN: Final = "wss://a.example:443"
WRITER: Final = """
import anyio, sys
from pathlib import Path
from utcp_ws_mcp.client.pin_store import PinStore
async def main(file, name, count):
    store = PinStore(Path(file))
    print("ready", flush=True)
    for number in range(int(count)):
        await store.approve("m", "wss://a.example:443", {f"{name}-{number}": "d" * 64})
        print(number, flush=True)
anyio.run(main, *sys.argv[1:])
"""


def _damages() -> dict[str, Callable[[bytes], bytes]]:
    return {
        "truncated": lambda data: data[: len(data) // 2],
        "one byte short": lambda data: data[:-1],
        "empty": lambda data: b"",
        "blanks": lambda data: b" \n",
        "a BOM before it": lambda data: b"\xef\xbb\xbf" + data,
        "UTF-16": lambda data: data.decode().encode("utf-16"),
        "zeros": lambda data: bytes(len(data)),
        "a list": lambda data: b"[]",
        "null": lambda data: b"null",
        "a text": lambda data: b'"pins"',
        "a null for a manual": lambda data: json.dumps(_with(data, None)).encode(),
        "a list for a manual": lambda data: json.dumps(_with(data, [])).encode(),
        "a number for a digest": lambda data: json.dumps(_with(data, {"t": 1})).encode(),
        "a later format": lambda data: data.replace(b'"format": 2', b'"format": 3'),
        "deep": lambda data: b"[" * 100_000,
        "not UTF-8": lambda data: data.replace(b"m", b"\xff"),
        "too large": lambda data: data + b" " * (17 << 20),
    }


def _with(data: bytes, value: Any) -> Any:
    document = json.loads(data)
    document["manuals"] = dict.fromkeys(document["manuals"], value)
    return document


async def measure(size: Size) -> Sequence[Figure]:
    """Race, then damage."""
    with TemporaryDirectory() as name:
        lost, said, unreadable = await race(Path(name) / "pins.json", size.of(4, 8), size.of(40, 400), killed=0)
        killed = await race(Path(name) / "killed.json", 4, size.of(40, 400), killed=2)
    trusted = [f"{kind}: {flaw}" for kind, damage in _damages().items() for flaw in await after_damage(damage)]
    return [
        Figure("S19", f"{said} approvals by processes at the same time: lost, reads that failed",
               f"{lost}, {unreadable}", "0, 0", not lost and not unreadable),
        Figure("S19", f"{killed[1]} approvals, two of four processes killed: lost, reads that failed",
               f"{killed[0]}, {killed[2]}", "0, 0", not killed[0] and not killed[2]),
        Figure("S19", f"{len(_damages())} damages of the file: failures",
               "; ".join([str(len(trusted)), *trusted[:4]]), "0", not trusted),
    ]  # fmt: skip


async def race(file: Path, processes: int, count: int, killed: int) -> tuple[int, int, int]:
    """Return the approvals that are lost, those that were reported as saved, and the reads that failed."""
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(file), f"p{number}", str(count), stdout=PIPE
        )
        for number in range(processes)
    ]
    said: set[str] = set()
    damaged, ended = 0, asyncio.Event()

    async def follow(number: int, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if line != b"ready\n":
                said.add(f"p{number}-{int(line)}")
            if number < killed and line == b"%d\n" % (count // 4):
                process.kill()
        await process.wait()

    async def read() -> None:
        nonlocal damaged
        while not ended.is_set():
            damaged += (await PinStore(file).get("m", ORIGIN)).damage is not None
            await asyncio.sleep(0.005)

    reading = asyncio.create_task(read())
    await asyncio.gather(*(follow(number, process) for number, process in enumerate(started)))
    ended.set()
    await reading
    kept = (await PinStore(file).get("m", ORIGIN)).approved
    return len(said - set(kept)), len(said), damaged


async def after_damage(damage: Callable[[bytes], bytes]) -> list[str]:
    """Return what is wrong when a changed tool meets a damaged file."""
    manual = manual_of({"name": "t", "description": "Good."})
    with TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "pins.json"
        async with endpoint(manual=lambda: manual) as served:
            document = {"name": "m", "url": served.url, "pin": "tofu"}
            async with open_bridge(document, folder=folder) as bridge:
                await bridge.wait_discovered(STEP_TIMEOUT)
                flaws = [] if "m.t" in bridge.tools else ["the first definition is not offered"]
            damaged = damage(file.read_bytes())
            file.write_bytes(damaged)
            manual = manual_of({"name": "t", "description": "EVIL"})
            observed: list[events.Event] = []
            async with open_bridge(document, folder=folder, observe=observed.append) as bridge:
                await bridge.wait_discovered(STEP_TIMEOUT)
                warnings = "\n".join(event.text for event in observed if isinstance(event, events.WarningIssued))
                flaws += ["EVIL is offered"] if "m.t" in bridge.tools else []
                flaws += [] if "cannot be read" in warnings else ["nothing is said"]
                flaws += [] if file.read_bytes() == damaged else ["the file was changed"]
            await PinStore(file).approve("m", ORIGIN, {"t": "d" * 64})
            kept = [path.read_bytes() for path in folder.glob("*damaged*")]
            flaws += [] if damaged in kept else ["the file was not kept"]
    return flaws


if __name__ == "__main__":
    run(measure)
