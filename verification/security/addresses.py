"""S1: no URL leads to a forbidden address, regardless of its spelling and of what its host resolves to.

Thousands of URLs are used at every entry point (`url` of a call template and of a discovered tool, `token_url`, and the
URL of `before_connect`), and the tools are called. An audit hook of the interpreter records the addresses that the
process passes to `connect` and refuses each, so that nothing leaves the machine. Pass criteria: the process connects
only to addresses that the corpus allows for that URL; it connects to valid URLs; and a resolver that returns a public
address first and loopback afterwards (DNS rebinding) has no effect.
"""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

from utcp_ws_mcp import Bridge, BridgeError
from utcp_ws_mcp.client.dial import Resolver
from verification.harness.command import Size, run
from verification.harness.figure import Figure
from verification.security.bridge_fixture import STEP_TIMEOUT, JSONObject, loadable_tools, open_bridge
from verification.security.connect_recorder import ConnectRecorder
from verification.security.endpoint import endpoint, manual_of
from verification.security.urls import PUBLIC, Case, bad_urls, good_urls

UNREACHABLE_URL = "wss://192.168.255.1/"
URLS = 2100
REBINDINGS = 1000
BATCH_SIZE = 100
"""Cases per bridge."""


def call_url(url: str) -> JSONObject:
    """Return a call template with this URL."""
    return {"url": url}


def token_url(url: str) -> JSONObject:
    """Return a call template with this URL as `token_url`."""
    credentials = {"auth_type": "oauth2", "client_id": "id", "client_secret": "secret"}
    return {"url": UNREACHABLE_URL, "auth": {**credentials, "token_url": _over_http(url)}}


def before_url(url: str) -> JSONObject:
    """Return a call template with this URL in `before_connect`."""
    return {"url": UNREACHABLE_URL, "before_connect": [{"http": {"url": _over_http(url)}}]}


ENTRIES: Sequence[Callable[[str], JSONObject]] = (call_url, token_url, before_url)


async def measure(size: Size) -> Sequence[Figure]:
    """Use every URL at every entry point, then the host names whose addresses change."""
    recorder = ConnectRecorder()
    bad, good = list(bad_urls(size.random(), size.of(1, 4))), list(good_urls())
    cases = [*size.random().sample(bad, size.of(URLS, len(bad), light=URLS // 3)), *good]
    forbidden: list[str] = []
    refused: list[str] = []
    count = 0
    for calls, batch in _rounds(cases):
        async for case, addresses in calls(recorder, batch, _answering(batch)):
            count += 1
            forbidden += [f"{case.url} {address}" for address in addresses if address not in case.allowed]
            refused += [case.url] if case.allowed and case.good and not addresses else []
    rebound, resolved = await _rebind(recorder)
    return [
        Figure(
            "S1",
            f"{len(cases) - len(good):,} bad URLs",
            _count_with_example(forbidden, f"forbidden connections in {count:,}"),
            "0",
            not forbidden,
        ),
        Figure("S1", f"{len(good)} good URLs", _count_with_example(refused, "refused"), "0", not refused),
        Figure(
            "S1",
            "a resolver that changes its answer",
            f"{rebound} of {resolved} rebound",
            f"0 of {REBINDINGS}",
            not rebound and resolved == REBINDINGS,
        ),
    ]


Connects = AsyncIterator[tuple[Case, list[str]]]
Round = Callable[[ConnectRecorder, Sequence[Case], Resolver], Connects]


def _rounds(cases: Sequence[Case]) -> Sequence[tuple[Round, Sequence[Case]]]:
    """Return every entry point with batches of the cases.

    Without `allow_origins` a discovered tool may use no other origin, so the last entry point allows no address.
    """
    nothing_allowed = [Case(case.url, case.answers) for case in cases]
    points = [
        *((_local_tools(make), cases) for make in ENTRIES),
        (_discovered, cases),
        (_discovered_unlisted, nothing_allowed),
    ]
    return [
        (calls, batch[start : start + BATCH_SIZE])
        for calls, batch in points
        for start in range(0, len(batch), BATCH_SIZE)
    ]


def _local_tools(make: Callable[[str], JSONObject]) -> Round:
    async def calls(recorder: ConnectRecorder, cases: Sequence[Case], resolver: Resolver) -> Connects:
        tools = [{"name": f"t{number}", "tool_call_template": make(case.url)} for number, case in enumerate(cases)]
        async with open_bridge({"name": "m", "tools": loadable_tools(tools)}, resolver=resolver) as bridge:
            for number, case in enumerate(cases):
                yield case, await _call_and_record(recorder, bridge, f"m.t{number}")

    return calls


async def _discovered(recorder: ConnectRecorder, cases: Sequence[Case], resolver: Resolver) -> Connects:
    """Call discovered tools; `allow_origins` lists their origins as far as the manifest accepts them."""
    usable = loadable_tools({"name": case.url or "-", "tool_call_template": call_url(case.url)} for case in cases)
    origins = list(dict.fromkeys(_origin(tool["name"]) for tool in usable))
    async for result in _of_manual(recorder, cases, resolver, origins):
        yield result


async def _discovered_unlisted(recorder: ConnectRecorder, cases: Sequence[Case], resolver: Resolver) -> Connects:
    async for result in _of_manual(recorder, cases, resolver, []):
        yield result


async def _of_manual(
    recorder: ConnectRecorder, cases: Sequence[Case], resolver: Resolver, origins: Sequence[str]
) -> Connects:
    tools = [{"name": f"t{number}", "tool_call_template": {"url": case.url}} for number, case in enumerate(cases)]
    async with endpoint(manual=manual_of(*tools)) as served:
        recorder.allowed_ports.add(served.port)
        document = {"name": "m", "url": served.url, "max_tools": len(tools), "allow_origins": origins}
        async with open_bridge(document, resolver=resolver) as bridge:
            await bridge.wait_discovered(STEP_TIMEOUT)
            assert not bridge.discovery_errors, bridge.discovery_errors
            for number, case in enumerate(cases):
                yield case, await _call_and_record(recorder, bridge, f"m.t{number}")
        recorder.allowed_ports.discard(served.port)


async def _call_and_record(recorder: ConnectRecorder, bridge: Bridge, tool: str) -> list[str]:
    recorder.take_addresses()
    if tool in bridge.tools:
        with suppress(BridgeError):
            await bridge.call_tool(tool)
    return recorder.take_addresses()


def _answering(cases: Sequence[Case]) -> Resolver:
    """Return a resolver with the answers of the cases.

    It resolves other names as the C library does, which parses unusual spellings of numbers as addresses.
    """
    answers = {_host(case.url): list(case.answers) for case in cases if case.answers}

    async def resolve(host: str, port: int) -> list[str]:
        return answers[host] if host in answers else [socket.inet_ntoa(socket.inet_aton(host))]

    return resolve


def _flipping() -> Resolver:
    """Return a resolver that answers a public address to the first query of a name, and loopback to later ones."""
    queried: set[str] = set()

    async def resolve(host: str, port: int) -> list[str]:
        first = host not in queried
        queried.add(host)
        return [PUBLIC if first else "127.0.0.1"]

    return resolve


async def _rebind(recorder: ConnectRecorder) -> tuple[int, int]:
    """Return the number of names that were connected to a second answer, and to the first answer."""
    cases = [Case(f"wss://r{number}.example/") for number in range(REBINDINGS // 4)]
    rebound = resolved = 0
    for calls in (*map(_local_tools, ENTRIES), _discovered):
        async for _, addresses in calls(recorder, cases, _flipping()):
            resolved += addresses[:1] == [PUBLIC]
            rebound += any(address != PUBLIC for address in addresses)
    return rebound, resolved


def _over_http(url: str) -> str:
    return re.sub(r"^(?i:(w)s)(s?):", lambda scheme: ("HTTP" if scheme[1] == "W" else "http") + scheme[2] + ":", url)


def _origin(url: str) -> str:
    return re.match(r"\w+://[^/?]*", url)[0] + "/"  # type: ignore[index]  # the manifest accepted the URL


def _host(url: str) -> str:
    result = re.match(r"\w+://([^/?#:]*)", url)
    return result[1].lower() if result else url


def _count_with_example(cases: Sequence[str], of: str) -> str:
    return f"{len(cases)} {of}" + (f", such as {cases[0][:100]!r}" if cases else "")


if __name__ == "__main__":
    run(measure)
