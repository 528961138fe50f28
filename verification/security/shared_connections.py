"""S9: two calls share a connection only if their templates agree in everything that a connection depends on.

The call templates of a pair differ in one property. They belong to two tools of one manual; equal templates also belong
to two manuals. The endpoint answers each call with the id of its connection. Pass criteria: different templates use
different connections, a second call of the first template uses its connection again, two equal templates of one manual
share a connection, and two manuals never do.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trustme
from websockets.asyncio.server import ServerConnection

from verification.harness.command import Size, run
from verification.harness.figure import Figure
from verification.security.bridge_fixture import open_bridge
from verification.security.certificates import server_context
from verification.security.connection_pairs import BY_ARGUMENT, PAIRS, JSONObject, Pair
from verification.security.endpoint import endpoint
from verification.security.listener import http_reply, listener

Ports = dict[str, int]


async def measure(size: Size) -> Sequence[Figure]:
    """Measure every pair as two tools of one manual, then equal templates in one manual and in two."""
    shared, separate = list[str](), list[str]()
    equal = {"nothing": {}, **{pair.name: pair.one for pair in PAIRS if pair.name not in BY_ARGUMENT}}
    with TemporaryDirectory() as name:
        folder = Path(name)
        async with _endpoints(folder) as ports:
            for pair in PAIRS:
                one, other, again = await _connection_ids(folder, ports, pair, manuals=("m", "m"))
                shared += [pair.name] if one == other else []
                separate += [pair.name] if one != again else []
            for what, template in equal.items():
                one, other, again = await _connection_ids(folder, ports, Pair(what, template, template), ("m", "m"))
                separate += [f"equal {what}"] if len({one, other, again}) > 1 else []
                one, other, _ = await _connection_ids(folder, ports, Pair(what, template, template), ("m", "other"))
                shared += [f"manuals with {what}"] if one == other else []
    pairs = len(PAIRS) + len(equal)
    return [
        Figure("S9", "different templates that share", _count_with_example(shared, pairs), "0 of >= 30", not shared),
        Figure("S9", "equal templates that do not share", _count_with_example(separate, pairs), "0", not separate),
    ]


async def _connection_ids(folder: Path, ports: Ports, pair: Pair, manuals: tuple[str, str]) -> list[Any]:
    """Return the connection ids of calls of the first template, the second, and the first again."""
    document: dict[str, JSONObject] = {
        manual: {"name": manual, "url": f"ws://127.0.0.1:{ports['port']}/", "tools": []} for manual in manuals
    }
    for tool, manual, template in zip("ab", manuals, (pair.one, pair.other), strict=True):
        document[manual]["tools"].append({"name": tool, "tool_call_template": _fill(template, ports)})
    async with open_bridge(list(document.values()), folder=folder) as bridge:
        first, second = pair.arguments
        calls = ((f"{manuals[0]}.a", first), (f"{manuals[1]}.b", second), (f"{manuals[0]}.a", first))
        return [await bridge.call_tool(tool, arguments) for tool, arguments in calls]


def _fill(template: JSONObject, ports: Ports) -> JSONObject:
    text = json.dumps(
        {"message": "which", "reply": {"match": "message is not none"}, "response_format": "text", **template}
    )
    for name, port in ports.items():
        text = text.replace(f"{{{name}}}", str(port))
    filled: JSONObject = json.loads(text)
    return filled


@asynccontextmanager
async def _endpoints(folder: Path) -> AsyncIterator[Ports]:
    """Serve two endpoints, one with TLS, and a token endpoint; write the certificates into the folder."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
    shutil.copy(folder / "ca.pem", folder / "copy.pem")
    shutil.copy(folder / "client.pem", folder / "copy-of-client.pem")
    options: dict[str, Any] = {"select_subprotocol": lambda _, offered: offered[0] if offered else None}
    context = server_context(authority.issue_cert("localhost"))
    async with (
        endpoint(_send_connection_id, **options) as plain,
        endpoint(_send_connection_id, **options) as second,
        endpoint(_send_connection_id, ssl=context, **options) as secure,
        listener(lambda request: http_reply(200, b'{"access_token": "token"}')) as tokens,
    ):
        yield {"port": plain.port, "second": second.port, "secure": secure.port, "tokens": tokens.port}


async def _send_connection_id(connection: ServerConnection, message: Any) -> None:
    """Answer the message "which" with the id of the connection."""
    if message == "which":
        await connection.send(str(connection.id))


def _count_with_example(names: Sequence[str], of: int) -> str:
    return f"{len(names)} of {of}" + (f", such as {names[0]}" if names else "")


if __name__ == "__main__":
    run(measure)
