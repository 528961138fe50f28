"""A name that means another address at each look-up: every connection checks the address that it connects to."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.client.test_http_steps import always, http_server
from tests.peer import bridge_to, entry, jsonrpc, peer
from utcp_ws_mcp.errors import BridgeError

NAME = "rebinding.test"


class Answers:
    """Stands for the name server: the addresses of the look-ups in turn, the last one again and again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.given: list[str] = []
        self._addresses = list(addresses)
        self._look_up = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: Any, *rest: Any, **options: Any) -> Any:
        if host != NAME:
            return self._look_up(host, *rest, **options)
        address = self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]
        self.given.append(address)
        return self._look_up(address, *rest, **options)


def document(seen: Any, http: Any) -> dict[str, Any]:
    step = {"http": {"url": f"http://{NAME}:{http.port}/ticket"}, "capture": {"ticket": "body.ticket"}}
    network = {"allow": ["loopback"], "plaintext": True}
    return {
        **entry(seen, "t", preset="jsonrpc2", before_connect=[step], network=network),
        "url": f"ws://{NAME}:{seen.port}/",
    }


@pytest.mark.parametrize("forbidden", ["169.254.169.254", "10.0.0.7"])
async def test_the_connection_after_an_http_step_checks_its_own_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forbidden: str
) -> None:
    answers = Answers(monkeypatch, "127.0.0.1", forbidden)
    async with http_server(always(200, {"ticket": "t"})) as http, peer(jsonrpc) as seen:
        async with bridge_to(tmp_path, document(seen, http)) as bridge:
            with pytest.raises(BridgeError) as refused:
                await bridge.call_tool("m.t")
    assert refused.value.code == "address-not-allowed"
    assert answers.given == ["127.0.0.1", forbidden]
    assert (len(http.requests), seen.upgrades) == (1, [])


async def test_an_http_step_checks_its_own_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Answers(monkeypatch, "10.0.0.7", "127.0.0.1")
    async with http_server(always(200, {"ticket": "t"})) as http, peer(jsonrpc) as seen:
        async with bridge_to(tmp_path, document(seen, http)) as bridge:
            with pytest.raises(BridgeError) as refused:
                await bridge.call_tool("m.t")
    assert refused.value.code == "address-not-allowed"
    assert (http.requests, seen.upgrades) == ([], [])


async def test_a_name_that_keeps_its_address_is_connected_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Answers(monkeypatch, "127.0.0.1")
    async with http_server(always(200, {"ticket": "t"})) as http, peer(jsonrpc) as seen:
        async with bridge_to(tmp_path, document(seen, http)) as bridge:
            assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}
