"""S15: a value in a URL changes nothing but its own place, whatever field of the manifest the URL is in.

Each field with a URL × each kind of placeholder × hostile values. A server records the request lines that arrive, a
second one catches requests that left their server. Pass criteria: a request has the path and the query of the template
with exactly the value in the place of the placeholder, or no request arrives and the call fails. A placeholder in the
scheme, the host or the port is rejected when the manifest is loaded, as is one in a field that no call may change.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from utcp_ws_mcp import BridgeError
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .bridge_fixture import JSONObject, loadable_tools, open_bridge

FIELDS: Final = ("url", "before_connect", "on_connect", "before_message")
"""Fields whose URL may contain values of a call."""

CONSTANT_FIELDS: Final = ("token_url", "proxy")
"""Fields whose URL no call may change."""

HOLES: Final = {
    "text": "UTCP_ARG_a_UTCP_ARG",
    "expression": "{{ args.a }}",
    "filter": "{{ args.a | urlencode }}",
    "captured": "{{ session.given }}",
    "captured twice": "{{ session.again }}",
}
PLACES: Final = {"path": "/p/HOLE/end?q=1", "query": "/p?x=HOLE&role=guest"}
WRONG_PLACES: Final = ("SCHEME://HOLE/t", "SCHEME://HOLE.example/t", "SCHEME://a.example:HOLE/t", "HOLE://a.example/t")
WRONG_PLACES_OF_HOST: Final = (*WRONG_PLACES, "SCHEME://a.exampleHOLE/t", "SCHEME://HOLE@a.example/t", "SCHEME:HOLE")
VALUES: Final[tuple[Any, ...]] = (
    *(
        "x&role=admin",
        "x;role=admin",
        "../../admin/keys?x=",
        "..",
        ".",
        "a/../../b",
        "%2e%2e",
        "%2e%2e%2fadmin",
        "..%2f",
    ),
    *("..\\..\\admin", "a#b", "a?b=c", "@evil.example/", "//evil.example/", "TRAP/secret?", "http://TRAP/", ":80@TRAP"),
    *(
        "\r\nX-Injected: 1",
        "x HTTP/1.1\r\nHost: evil\r\n\r\nGET /admin",
        "\t",
        " ",
        "\0",
        "\x7f",
        "a b",
        "+",
        "%",
        "%zz",
    ),
    *("ä/ö", "\uff0e\uff0e\uff0fadmin", "\u2025/", "\u202e", "{{ vars.X }}", "${X}", "UTCP_ARG_b_UTCP_ARG", "\ud800"),
    *("", 0, -1, 1.5, True, None, [], ["..", "x"], {"a": "/../"}, "a" * 5000),
)
VALUES_PER_URL: Final = 12
"""Values of each URL in the normal size, chosen at random; all together see every value."""

LOGIN: Final = ({"given": "'' ~ args.a"}, {"again": "session.given ~ ''"})
"""What the steps before a connection capture: the argument, and then the captured value again."""


@dataclass
class Server:
    """The request lines that arrived, and the port."""

    port: int = 0
    targets: list[str] = field(default_factory=list)


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    """Serve HTTP steps below `/http/`, and a WebSocket that echoes at every other path."""
    running = Server()

    def process(connection: ServerConnection, request: Request) -> Response | None:
        running.targets.append(request.path)
        if "upgrade" in request.headers:
            return None
        body = b'{"ticket": "t"}'
        return Response(200, "OK", Headers({"Content-Length": str(len(body))}), body)

    async def echo(connection: ServerConnection) -> None:
        try:
            async for raw in connection:
                await connection.send(raw)
        except ConnectionClosed:
            return

    async with serve(echo, "127.0.0.1", 0, process_request=process, max_size=None) as listening:
        running.port = next(iter(listening.sockets)).getsockname()[1]
        yield running


def entry(name: str, place: str, url: str, port: int) -> JSONObject:
    """Return a call template whose field has this URL."""
    captures = [{"http": {"url": f"http://127.0.0.1:{port}/http/first"}, "capture": each} for each in LOGIN]
    template: JSONObject = {"name": name, "url": f"ws://127.0.0.1:{port}/ws", "keep_alive": False, "timeout": 5}
    template |= {"response_format": "text", "before_connect": captures, "tools": [{"name": "t"}]}
    step = {"http": {"url": url}}
    match place:
        case "url":
            template["url"] = url
        case "before_connect":
            template["before_connect"] = [*captures, step]
        case "on_connect" | "before_message":
            template[place] = [step]
        case "proxy":
            template["proxy"] = url
        case _:
            secrets = {"client_id": "i", "client_secret": "s"}
            template["auth"] = {"auth_type": "oauth2", **secrets, "token_url": url}
    return template


def entries(port: int) -> Iterator[tuple[str, JSONObject]]:
    """Yield a template of a target, and a call template that uses it."""
    for field_name in FIELDS:
        for hole_name, hole in HOLES.items():
            for place, target in PLACES.items():
                name = f"{field_name}-{hole_name}-{place}".replace(" ", "_")
                base = f"/{'ws' if field_name == 'url' else 'http'}/{name}"
                url = (
                    f"{'ws' if field_name == 'url' else 'http'}://127.0.0.1:{port}{base}{target.replace('HOLE', hole)}"
                )
                yield base + target, entry(name, field_name, url, port)


def is_filled(template: str, target: str, value: Any) -> bool:
    """Return whether a target is its template with the value, encoded, in the place of HOLE."""
    before, after = template.split("HOLE")
    if not (target.startswith(before) and target.endswith(after)):
        return False
    filled = target[len(before) : len(target) - len(after)]
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    shown = {text, text.replace(",", ", "), json.dumps(value), str(value), "" if value is None else text}
    got = unquote(filled)
    is_own_segment = before.endswith("/") and got in (".", "..")
    is_value = got in shown or (not is_encodable(text) and not got.strip("\ufffd"))
    return not set(filled) & set("/?#&;=+ ") and is_value and not is_own_segment


def is_encodable(text: str) -> bool:
    """Return whether a text has no lone surrogate; such a character may be replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


async def measure(size: Size) -> Sequence[Figure]:
    """Load what must be rejected, then call everything else."""
    async with server() as served, server() as trap:
        texts = [each.replace("TRAP", f"127.0.0.1:{trap.port}") if isinstance(each, str) else each for each in VALUES]
        if size.nightly:
            texts += [chr(code) for code in range(1, 0x300)] + [f"..{chr(code)}x" for code in range(1, 0x300)]
        wrong, sent, refused = list[str](), 0, 0
        documents = list(entries(served.port))
        random = size.random()
        async with open_bridge([document for _, document in documents]) as bridge:
            for template, document in documents:
                base = template.split("/p")[0]
                for value in texts if size.nightly else random.sample(texts, VALUES_PER_URL):
                    served.targets.clear()
                    try:
                        await bridge.call_tool(f"{document['name']}.t", {"a": value})
                        failed = False
                    except BridgeError:
                        failed = True
                    arrived = [target for target in served.targets if target.startswith(base) or "first" not in target]
                    arrived = [target for target in arrived if target not in ("/ws", "/http/first")]
                    good = [target for target in arrived if is_filled(template, target, value)]
                    sent, refused = sent + bool(good), refused + (failed and not arrived)
                    if len(good) != len(arrived) or (not failed and not arrived):
                        wrong.append(f"{document['name']} {value!r:.40}: {arrived}")
        wrong_documents = list(wrong_tools())
        accepted = [tool["name"] for tool in loadable_tools(wrong_documents)]
    caught = f"{len(trap.targets)} requests at another server, {len(accepted)} of {len(wrong_documents)} accepted"
    result = f"{len(wrong)} wrong of {sent} filled, {refused} refused" + "".join(f"; {each}" for each in wrong[:12])
    what = f"{len(documents)} URLs with a placeholder × values from {len(texts)}"
    return [
        Figure("S15", what, result, "0 wrong, some filled", not wrong and sent > 0 and refused > 0),
        Figure("S15", "placeholders in scheme, host or port, and in URLs that no call may change",
               caught + "".join(f"; {each}" for each in accepted[:3]), "0, 0", not trap.targets and not accepted),
    ]  # fmt: skip


def wrong_tools() -> Iterator[JSONObject]:
    """Yield tools with a URL that must be rejected; the name contains which."""
    for name in (*FIELDS, *CONSTANT_FIELDS):
        places = (*WRONG_PLACES_OF_HOST, *(("SCHEME://a.example/HOLE",) if name in CONSTANT_FIELDS else ()))
        for number, place in enumerate(places):
            for kind, hole in HOLES.items():
                url = place.replace("SCHEME", "wss" if name == "url" else "https").replace("HOLE", hole)
                template = {"url": "wss://a.example/ws", **entry("m", name, url, 1)}
                tools = template.pop("tools")
                template.pop("name")
                assert tools
                yield {"name": f"{name}_{number}_{kind}".replace(" ", "_"), "tool_call_template": template}


if __name__ == "__main__":
    run(measure)
