"""Call servers that pip and npm install: chanx, strawberry, Delta Chat, the mock of MetaMask's OpenRPC document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.errors import BridgeError
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .documents import DOCUMENTS
from .running import NODE_MODULES, PYTHON, SERVERS, call_each, call_safe, folder, free_port, run_import, started

METAMASK = DOCUMENTS / "metamask-ethereum.json"
EXACT_ANSWERS = 49
"""Of 54 examples: five break their own schema, or end a subscription that a feed ends by itself."""

WAITING = ("get_next_event", "get_next_event_batch", "wait_next_msgs")
"""Methods of Delta Chat that wait for an event."""


async def chanx() -> Figure:
    """Import the document that a chanx application serves, and call its operations."""
    port = free_port()
    with folder() as place:
        async with started(port, PYTHON / "python", SERVERS / "chanx_app.py", str(port)):
            manifest = await run_import(f"http://127.0.0.1:{port}/asyncapi.json", place / "manifest.json")
            name = manifest["name"]
            calls: list[tuple[str, dict[str, Any], Any]] = [
                (f"{name}.add", {"a": 2, "b": 3}, 5),
                (f"{name}.shout", {"payload": "hej"}, "HEJ"),
            ]
            wrong = await call_each(place / "manifest.json", calls)
    return _figure("I4", "chanx: AsyncAPI from the application, operations called", calls, wrong)


async def strawberry() -> Figure:
    """Import by introspection over the endpoint's own socket, and call what it offers."""
    port = free_port()
    with folder() as place:
        async with started(port, PYTHON / "python", SERVERS / "strawberry_app.py", str(port)):
            manifest = await run_import(f"ws://127.0.0.1:{port}/graphql", place / "manifest.json", "--all")
            name = manifest["name"]
            calls: list[tuple[str, dict[str, Any], Any]] = [
                (f"{name}.books", {}, lambda result: [each["title"] for each in result] == ["Emma", "Middlemarch"]),
                (f"{name}.books", {"first": 1}, [{"title": "Emma", "year": 1815}]),
                (f"{name}.book", {"title": "Emma"}, {"title": "Emma", "year": 1815}),
                (f"{name}.addBook", {"book": {"title": "New"}}, {"title": "New", "year": 0}),
                (
                    f"{name}.count_events",
                    {"wait_seconds": 5},
                    lambda result: [each["data"] for each in result["events"]] == [1, 2, 3],
                ),
            ]
            wrong = await call_each(place / "manifest.json", calls)
    return _figure("I5", "strawberry: GraphQL's introspection, queries, mutation and subscription called", calls, wrong)


async def deltachat() -> Figure:
    """Import the OpenRPC document that Delta Chat prints, and call every method that is safe without arguments."""
    import subprocess

    port = free_port()
    program = PYTHON / "deltachat-rpc-server"
    with folder() as place:
        document = place / "openrpc.json"
        document.write_bytes(subprocess.run([str(program), "--openrpc"], capture_output=True, check=True).stdout)
        url = f"ws://127.0.0.1:{port}/"
        async with started(port, PYTHON / "python", SERVERS / "bridge.py", str(port), place / "data", program):
            manifest = await run_import(document, place / "manifest.json", "--url", url, "--all")
            answered, refused, wrong = await call_safe(place / "manifest.json", manifest, WAITING)
    result = f"{len(manifest['tools'])} tools, {answered} called, {refused} refused by it, {len(wrong)} wrong"
    return Figure("I6", "Delta Chat: its OpenRPC document", result, "none wrong", met=not wrong and answered > 0)


async def metamask() -> Figure:
    """Import MetaMask's document, and call each method with its documented example against the mock server."""
    document = json.loads(METAMASK.read_text())
    port = free_port()
    with folder() as place:
        file = place / "manifest.json"
        async with started(port, "node", SERVERS / "mock.cjs", NODE_MODULES, METAMASK, str(port)):
            manifest = await run_import(METAMASK, file, "--url", f"ws://127.0.0.1:{port}/", "--all")
            tools = {tool["name"]: tool for tool in manifest["tools"]}
            exact, misses, examples = 0, [], 0
            async with Bridge.open(file) as bridge:
                for method in document["methods"]:
                    example = next(iter(method.get("examples", ())), None)
                    if example is None or "result" not in example:
                        continue
                    examples += 1
                    reason = await _compare(bridge, manifest["name"], method["name"], tools, example)
                    exact += reason is None
                    misses += [] if reason is None else [method["name"]]
    result = f"{exact} of {examples} as documented (not: {', '.join(misses)})"
    return Figure(
        "I7", "MetaMask: examples of its OpenRPC document", result, f"≥ {EXACT_ANSWERS}", exact >= EXACT_ANSWERS
    )


async def _compare(
    bridge: Bridge, manual: str, method: str, tools: Mapping[str, Any], example: Mapping[str, Any]
) -> str | None:
    """Return why an example does not give its documented result, or None. A feed opens with the documented reply."""
    values = [each["value"] for each in example["params"]]
    try:
        if method not in tools:
            state = (await bridge.call_tool(f"{manual}.{method}_events", {"subscriptionType": values[0]}))["state"]
            return None if state == "open" else str(state)
        names = list(tools[method]["inputs"]["properties"])
        result = await bridge.call_tool(f"{manual}.{method}", dict(zip(names, values, strict=False)))
    except BridgeError as failed:
        return str(failed)
    return None if result == example["result"]["value"] else "another result"


def _figure(number: str, what: str, calls: Sequence[Any], wrong: Sequence[str]) -> Figure:
    shown = f"{len(calls) - len(wrong)} of {len(calls)} right" + (f" ({'; '.join(wrong)})" if wrong else "")
    return Figure(number, what, shown, "all", met=not wrong)


async def measure(size: Size) -> Sequence[Figure]:
    """Return the figures of the servers."""
    del size
    return [await chanx(), await strawberry(), await deltachat(), await metamask()]


if __name__ == "__main__":
    run(measure)
