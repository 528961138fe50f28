"""A session whose endpoints announce their tools late: what is announced, and when, and a quiet end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.client.test_discovery import announces, manual
from tests.peer import PATIENCE, Peer, entry, peer, silent
from tests.server.stdio.test_fast_path import enveloped
from tests.server.stdio.test_transport import Host, end, host_of
from utcp_ws_mcp.server.stdio.subscriptions import SUBSCRIPTION_ID_KEY

ENDPOINTS = {"method": "resources/read", "params": {"uri": "utcp-ws://endpoints"}}
LIST = {"method": "tools/list"}
LISTEN = {"id": "sub", "method": "subscriptions/listen", "params": {"notifications": {"toolsListChanged": True}}}
ERAS = pytest.mark.parametrize("era", ["handshake", "2026-07-28"])


class Conversation:
    """Requests of one era, and the notifications that came before their answers."""

    def __init__(self, host: Host, era: str) -> None:
        self._host, self._era = host, era
        self._number = 0
        self.notified: list[Any] = []

    async def open(self) -> None:
        if self._era == "handshake":
            await self._host.initialize()
        else:
            await self._host.send({"jsonrpc": "2.0", **enveloped(LISTEN)})
            acknowledged = await self._host.receive()
            assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
            assert acknowledged["params"]["notifications"] == {"toolsListChanged": True}

    async def ask(self, request: dict[str, Any]) -> Any:
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, **request}
        await self._host.send(message if self._era == "handshake" else enveloped(message))
        while "method" in (answer := await self._host.receive()):
            self.notified.append(answer)
        assert answer["id"] == self._number
        return answer["result"]

    async def until_known(self, count: int) -> None:
        """Ask until the endpoints have announced this many tools."""
        while sum(state["tools"] for state in json.loads((await self.ask(ENDPOINTS))["contents"][0]["text"])) < count:
            await anyio.lowlevel.checkpoint()

    async def until_notified(self) -> None:
        """Ask until a notification has come."""
        with anyio.fail_after(PATIENCE):
            while not self.notified:
                await self.ask(ENDPOINTS)


@ERAS
async def test_a_change_is_announced_only_after_the_first_list(tmp_path: Path, era: str) -> None:
    speak = anyio.Event()

    async def late(seen: Peer, connection: Any, message: Any) -> None:
        await speak.wait()
        await connection.send(json.dumps(manual("late")))

    async with peer(late) as slow, peer(announces(manual("a"))) as quick:
        async with host_of(tmp_path, [{**entry(slow), "name": "slow"}, entry(quick)]) as host:
            talk = Conversation(host, era)
            await talk.open()
            await talk.until_known(1)
            assert [tool["name"] for tool in (await talk.ask(LIST))["tools"]] == ["m_a"]
            assert talk.notified == []
            speak.set()
            await talk.until_notified()
            assert [message["method"] for message in talk.notified] == ["notifications/tools/list_changed"]
            meta = talk.notified[0].get("params", {}).get("_meta", {})
            assert meta.get(SUBSCRIPTION_ID_KEY) == (None if era == "handshake" else "sub")


async def test_a_subscription_ends_with_its_cancellation_or_is_answered_at_the_end(tmp_path: Path) -> None:
    async with peer(silent) as seen, host_of(tmp_path, entry(seen, "t")) as host:
        for number in (1, 2):
            await host.send({"jsonrpc": "2.0", **enveloped({**LISTEN, "id": number})})
            assert (await host.receive())["params"]["_meta"] == {SUBSCRIPTION_ID_KEY: number}
        await host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        assert "result" in await host.request(3, "tools/list", **enveloped(LIST)["params"])
        await end(host, "eof")
        code, rest = await host.ended()
    (last,) = map(json.loads, rest.splitlines())
    assert (code, last["id"], last["result"]["_meta"][SUBSCRIPTION_ID_KEY]) == (0, 2, 2)


@pytest.mark.parametrize("how", ["eof", "sigterm", "sigint"])
@ERAS
async def test_the_end_while_a_discovery_waits_is_quiet(tmp_path: Path, how: str, era: str) -> None:
    async with peer(silent) as seen, host_of(tmp_path, entry(seen)) as host:
        await Conversation(host, era).open()
        await seen.until(lambda: len(seen.received) == 1)
        await end(host, how)
        assert (await host.ended())[0] == 0
        assert host.process.stderr is not None
        assert b"".join([chunk async for chunk in host.process.stderr]) == b""
