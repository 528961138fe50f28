"""S1: no URL, however it is written and whatever it resolves to, leads to an address that is not allowed.

Thousands of URLs stand at every entry point (a call template's `url`, a discovered tool's, `token_url`, that of
`before_connect`), and the calls are made. Oracle: the addresses that the process passes to `connect`, as an audit hook
of the interpreter sees them, beside those that the corpus allows for that URL; the hook refuses each, so that nothing
leaves the machine. A resolver that answers a public address first and loopback ever after must not matter, and good
URLs must be dialled.
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
from verification.security.bridges import STEP_TIMEOUT, JSONObject, loadable_tools, open_bridge
from verification.security.dials import ConnectRecorder
from verification.security.endpoint import endpoint, manual_of
from verification.security.urls import PUBLIC, Case, bad_urls, good_urls

UNREACHABLE_URL = "wss://192.168.255.1/"
URLS = 2100
REBINDINGS = 1000
BATCH_SIZE = 100
"""Cases that one bridge has at a time."""


def call_url(url: str) -> JSONObject:
    """A call template with this URL."""
    return {"url": url}


def token_url(url: str) -> JSONObject:
    """A call template whose token comes from this URL."""
    credentials = {"auth_type": "oauth2", "client_id": "id", "client_secret": "secret"}
    return {"url": UNREACHABLE_URL, "auth": {**credentials, "token_url": _over_http(url)}}


def before_url(url: str) -> JSONObject:
    """A call template that asks this URL first."""
    return {"url": UNREACHABLE_URL, "before_connect": [{"http": {"url": _over_http(url)}}]}


ENTRIES: Sequence[Callable[[str], JSONObject]] = (call_url, token_url, before_url)


async def measure(size: Size) -> Sequence[Figure]:
    """Dial every URL at every entry point, then the names whose answers change."""
    dials = ConnectRecorder()
    bad, good = list(bad_urls(size.random(), size.of(1, 4))), list(good_urls())
    cases = [*size.random().sample(bad, size.of(URLS, len(bad))), *good]
    forbidden: list[str] = []
    refused: list[str] = []
    tried = 0
    for calls, given in _rounds(cases):
        async for case, addresses in calls(dials, given, _answering(given)):
            tried += 1
            forbidden += [f"{case.url} {address}" for address in addresses if address not in case.dials]
            refused += [case.url] if case.dials and case.good and not addresses else []
    wrong, right = await _rebind(dials)
    return [
        Figure(
            "S1",
            f"{len(cases) - len(good):,} bad URLs",
            _shown(forbidden, f"forbidden connections in {tried:,}"),
            "0",
            not forbidden,
        ),
        Figure("S1", f"{len(good)} good URLs", _shown(refused, "refused"), "0", not refused),
        Figure(
            "S1",
            "a resolver that changes its answer",
            f"{wrong} of {right} followed",
            f"0 of {REBINDINGS}",
            not wrong and right == REBINDINGS,
        ),
    ]


Dialled = AsyncIterator[tuple[Case, list[str]]]
Round = Callable[[ConnectRecorder, Sequence[Case], Resolver], Dialled]


def _rounds(cases: Sequence[Case]) -> Sequence[tuple[Round, Sequence[Case]]]:
    """Every entry point, a part of the cases at a time. Without `allow_origins` a discovered tool may go nowhere."""
    elsewhere = [Case(case.url, case.answers) for case in cases]
    points = [*((_listed(make), cases) for make in ENTRIES), (_discovered, cases), (_discovered_unlisted, elsewhere)]
    return [
        (calls, given[start : start + BATCH_SIZE])
        for calls, given in points
        for start in range(0, len(given), BATCH_SIZE)
    ]


def _listed(make: Callable[[str], JSONObject]) -> Round:
    async def calls(dials: ConnectRecorder, cases: Sequence[Case], resolver: Resolver) -> Dialled:
        tools = [{"name": f"t{number}", "tool_call_template": make(case.url)} for number, case in enumerate(cases)]
        async with open_bridge({"name": "m", "tools": loadable_tools(tools)}, resolver=resolver) as bridge:
            for number, case in enumerate(cases):
                yield case, await _dialled(dials, bridge, f"m.t{number}")

    return calls


async def _discovered(dials: ConnectRecorder, cases: Sequence[Case], resolver: Resolver) -> Dialled:
    """The tools of a discovered manual, at origins that the manifest lists as far as it can."""
    usable = loadable_tools({"name": case.url or "-", "tool_call_template": call_url(case.url)} for case in cases)
    origins = list(dict.fromkeys(_origin(tool["name"]) for tool in usable))
    async for found in _of_manual(dials, cases, resolver, origins):
        yield found


async def _discovered_unlisted(dials: ConnectRecorder, cases: Sequence[Case], resolver: Resolver) -> Dialled:
    async for found in _of_manual(dials, cases, resolver, []):
        yield found


async def _of_manual(
    dials: ConnectRecorder, cases: Sequence[Case], resolver: Resolver, origins: Sequence[str]
) -> Dialled:
    tools = [{"name": f"t{number}", "tool_call_template": {"url": case.url}} for number, case in enumerate(cases)]
    async with endpoint(manual=manual_of(*tools)) as asked:
        dials.allowed_ports.add(asked.port)
        document = {"name": "m", "url": asked.url, "max_tools": len(tools), "allow_origins": origins}
        async with open_bridge(document, resolver=resolver) as bridge:
            await bridge.wait_discovered(STEP_TIMEOUT)
            assert not bridge.discovery_errors, bridge.discovery_errors
            for number, case in enumerate(cases):
                yield case, await _dialled(dials, bridge, f"m.t{number}")
        dials.allowed_ports.discard(asked.port)


async def _dialled(dials: ConnectRecorder, bridge: Bridge, tool: str) -> list[str]:
    dials.take_addresses()
    if tool in bridge.tools:
        with suppress(BridgeError):
            await bridge.call_tool(tool)
    return dials.take_addresses()


def _answering(cases: Sequence[Case]) -> Resolver:
    """Answers as the cases say; other names as the system would read them, which takes odd numbers for addresses."""
    known = {_host(case.url): list(case.answers) for case in cases if case.answers}

    async def resolve(host: str, port: int) -> list[str]:
        return known[host] if host in known else [socket.inet_ntoa(socket.inet_aton(host))]

    return resolve


def _flipping() -> Resolver:
    """Answers each name with a public address once, and with loopback ever after."""
    asked: set[str] = set()

    async def resolve(host: str, port: int) -> list[str]:
        first = host not in asked
        asked.add(host)
        return [PUBLIC if first else "127.0.0.1"]

    return resolve


async def _rebind(dials: ConnectRecorder) -> tuple[int, int]:
    """How many names were dialled at a second answer, and how many at the first."""
    cases = [Case(f"wss://r{number}.example/") for number in range(REBINDINGS // 4)]
    wrong = right = 0
    for calls in (*map(_listed, ENTRIES), _discovered):
        async for _, addresses in calls(dials, cases, _flipping()):
            right += addresses[:1] == [PUBLIC]
            wrong += any(address != PUBLIC for address in addresses)
    return wrong, right


def _over_http(url: str) -> str:
    return re.sub(r"^(?i:(w)s)(s?):", lambda scheme: ("HTTP" if scheme[1] == "W" else "http") + scheme[2] + ":", url)


def _origin(url: str) -> str:
    return re.match(r"\w+://[^/?]*", url)[0] + "/"  # type: ignore[index]  # the manifest took the URL


def _host(url: str) -> str:
    found = re.match(r"\w+://([^/?#:]*)", url)
    return found[1].lower() if found else url


def _shown(wrong: Sequence[str], of: str) -> str:
    return f"{len(wrong)} {of}" + (f", such as {wrong[0][:100]!r}" if wrong else "")


if __name__ == "__main__":
    run(measure)
