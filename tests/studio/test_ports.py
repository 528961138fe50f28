"""The port of the studio."""

from __future__ import annotations

import socket

import pytest

from utcp_ws_mcp.errors import BridgeError, ServeOptionsError
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


def test_the_usual_ports_are_twenty_from_8790_on(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def bind(port: int) -> str:
        tried.append(port)
        if port:
            raise BridgeError("in use", code="port-in-use")
        return "bound"

    monkeypatch.setattr(ports, "_bind", bind)
    assert ports.listen(None) == "bound"
    assert tried == [*range(8790, 8810), 0]


def test_a_port_that_is_not_allowed_is_another_error(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    class Refusing(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

        def close(self) -> None:
            closed.append(True)
            super().close()

    monkeypatch.setattr(ports.socket, "socket", Refusing)
    with pytest.raises(ServeOptionsError) as refused:
        ports.listen(80)
    assert (refused.value.code, closed) == ("cannot-listen", [True])
    assert "cannot listen on port 80: permission denied. Choose another port." in str(refused.value)


def test_a_port_is_free_again_at_once_except_where_that_would_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for platform, reuses in (("linux", True), ("win32", False)):
        monkeypatch.setattr(ports.sys, "platform", platform)
        with ports.listen(0) as bound:
            assert bool(bound.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)) is reuses
            with socket.create_connection(bound.getsockname()):  # it listens
                pass
