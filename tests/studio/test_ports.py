"""The port of the studio."""

from __future__ import annotations

import socket

import pytest

from utcp_ws_mcp.errors import BridgeError
from utcp_ws_mcp.studio import ports


def test_the_page_is_only_reached_from_this_machine() -> None:
    with ports.listen(0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


def test_the_next_free_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(ports, "FIRST_PORT", taken.getsockname()[1])
        with ports.listen(None) as bound:
            assert bound.getsockname()[1] != taken.getsockname()[1]


def test_some_port_is_taken_where_all_usual_ones_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(ports, "FIRST_PORT", taken.getsockname()[1])
        monkeypatch.setattr(ports, "PORTS", 1)
        with ports.listen(None) as bound:
            assert bound.getsockname()[1] != taken.getsockname()[1]


def test_a_port_that_was_asked_for_and_is_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BridgeError) as refused:
        ports.listen(taken.getsockname()[1])
    assert refused.value.code == "port-in-use"
