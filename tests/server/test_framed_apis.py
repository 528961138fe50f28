"""APIs whose messages are framed in their own way, called by the SDK's client through the real program.

Each endpoint is a strict imitation: it closes the connection, with the reason, at the first message that the real one
would not understand.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from websockets.asyncio.server import ServerConnection

from tests.peer import Peer, peer

BOTH_ERAS = pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])


@asynccontextmanager
async def host_of(folder: Path, document: Any, mode: str = "auto") -> AsyncIterator[Client]:
    """A client of the program, which serves a manifest over stdio."""
    file = folder / "manifest.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    command = ["-m", "utcp_ws_mcp", "serve", str(file)]
    transport = stdio_client(StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ)))
    async with Client(transport, mode=mode) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """The value of a call that succeeds."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result
    return result.structured_content


# --- Quotes as TradingView sends them: text behind a length in UTF-16 code units ---


def framed(text: str) -> str:
    """Return a message as JavaScript writes it: "~m~" + text.length + "~m~" + text."""
    return f"~m~{len(text.encode('utf-16-le')) // 2}~m~{text}"


def unframed(raw: str) -> list[str]:
    """Return the messages in a WebSocket message, as JavaScript cuts them: by UTF-16 code units."""
    assert isinstance(raw, str), "binary message"
    units, texts = raw.encode("utf-16-le"), []
    mark = "~m~".encode("utf-16-le")
    while units:
        assert units.startswith(mark), "no ~m~ in front of a length"
        length, _, rest = units[len(mark) :].partition(mark)
        size = 2 * int(length.decode("utf-16-le"))
        assert len(rest) >= size, "a length beyond the end"
        texts.append(rest[:size].decode("utf-16-le"))
        units = rest[size:]
    return texts


QUOTES: dict[str, list[dict[str, Any]]] = {
    "EURONEXT:GLE": [{"lp": 61.5, "description": "Société Générale"}, {"ch": -0.25, "short_name": "GLE 🥐"}],
    "TEST:😀É": [{"lp": 1, "description": "𝒳 €"}, {"ch": 0}],
}


class QuoteServer:
    """TradingView's side of a connection: heartbeats between the quotes, which go on only when they are answered."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.answered: list[str] = []
        self._state: dict[ServerConnection, dict[str, Any]] = {}

    async def greet(self, connection: ServerConnection) -> None:
        self._state[connection] = {"authorized": False, "sessions": set(), "beats": 0, "later": {}}
        hello = {"session_id": "<0.9.8>_ams1", "timestamp": 1764580000, "release": "r", "protocol": "json"}
        await connection.send(framed(json.dumps(hello)))

    async def answer(self, seen: Peer, connection: ServerConnection, message: Any) -> None:
        try:
            for text in unframed(message):
                await self._take(connection, text)
        except (AssertionError, ValueError, KeyError) as problem:
            self.problems.append(repr(problem))
            error = {"m": "protocol_error", "p": [repr(problem)]}
            await connection.send(framed(json.dumps(error)))
            await connection.close(1002)

    async def _take(self, connection: ServerConnection, text: str) -> None:
        state = self._state[connection]
        if text.startswith("~h~"):
            await connection.send(state["later"].pop(text))
            self.answered.append(text)
            return
        request = json.loads(text)
        method, (session, *more) = request["m"], request["p"]
        if method == "set_auth_token":
            state["authorized"] = session == "unauthorized_user_token"
        elif method == "quote_create_session":
            assert state["authorized"], "no token"
            assert session not in state["sessions"], "a session twice"
            state["sessions"].add(session)
        elif method == "quote_add_symbols":
            assert session in state["sessions"], "no session"
            for symbol in more:
                await self._quote(connection, state, session, symbol)
        else:
            assert method == "quote_delete_session", "an unknown method"
            state["sessions"].remove(session)

    async def _quote(self, connection: ServerConnection, state: dict[str, Any], session: str, symbol: str) -> None:
        def event(method: str, *values: Any) -> str:
            return framed(json.dumps({"m": method, "p": [session, *values]}, ensure_ascii=False))

        if symbol not in QUOTES:
            await connection.send(
                event("qsd", {"n": symbol, "s": "error", "errmsg": f"no symbol {symbol} 😕", "v": {}})
            )
            return
        first, second = [event("qsd", {"n": symbol, "s": "ok", "v": values}) for values in QUOTES[symbol]]
        state["beats"] += 1
        beat = f"~h~{state['beats']}"
        state["later"][beat] = second + event("quote_completed", symbol)
        await connection.send(first + framed(beat))


def quotes(seen: Peer) -> dict[str, Any]:
    """The manifest."""
    session, symbol = "qs_{{ request_id }}", {"type": "object", "properties": {"symbol": {"type": "string"}}}
    watched = "qs_{{ args.symbol | sha256 | hex }}"
    return {
        "name": "quotes",
        "url": seen.url,
        "framing": {"length": {"between": ["~m~", "~m~"], "unit": "utf16"}},
        "on_connect": [
            {"expect": "message.session_id is defined"},
            {"send": {"m": "set_auth_token", "p": ["unauthorized_user_token"]}},
        ],
        "auto_reply": [{"match": "message is string and message is startingwith('~h~')", "send": "{{ message }}"}],
        "tools": [
            {
                "name": "quote",
                "description": "The quote of a symbol.",
                "inputs": {**symbol, "required": ["symbol"]},
                "tool_call_template": {
                    "message": {"m": "quote_create_session", "p": [session]},
                    "then": [{"m": "quote_add_symbols", "p": [session, "{{ args.symbol }}"]}],
                    "reply": {
                        "match": "message.p[0] == 'qs_' ~ request_id",
                        "error": "message.p[1].s == 'error'",
                        "error_message": "message.p[1].errmsg",
                    },
                    "stream": {
                        "until": "message.m == 'quote_completed'",
                        "item": "message.p[1].v",
                        "cancel": {"m": "quote_delete_session", "p": [session]},
                    },
                },
            }
        ],
        "feeds": [
            {
                "name": "changes",
                "description": "The changes of a quote.",
                "inputs": {**symbol, "required": ["symbol"]},
                "open": [
                    {"send": {"m": "quote_create_session", "p": [watched]}},
                    {"send": {"m": "quote_add_symbols", "p": [watched, "{{ args.symbol }}"]}},
                ],
                "match": "message.m == 'qsd' and message.p[0] == 'qs_' ~ (args.symbol | sha256 | hex)",
                "item": "message.p[1].v",
                "close": {"m": "quote_delete_session", "p": [watched]},
            }
        ],
    }


@BOTH_ERAS
async def test_quotes_behind_lengths_in_utf16_reach_the_host(tmp_path: Path, mode: str) -> None:
    server = QuoteServer()
    async with peer(server.answer, greet=server.greet) as seen, host_of(tmp_path, quotes(seen), mode) as client:
        for symbol, values in QUOTES.items():
            quote = await call(client, "quotes_quote", symbol=symbol)
            assert (quote["items"], quote["end"]) == (values, "until")
            events = await call(client, "quotes_changes_events", symbol=symbol, wait_seconds=5)
            assert [event["data"] for event in events["events"]] == values[: len(events["events"])] != []
        refused = await client.call_tool("quotes_quote", {"symbol": "NO:É😀"})
        assert refused.is_error
        assert "no symbol NO:É😀 😕" in refused.content[0].text
    assert server.problems == []
    assert set(server.answered) == {"~h~1", "~h~2", "~h~3", "~h~4"}
