"""What an error says about how a connection ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from utcp_ws_mcp.client.close_info import CLOSED_LOCALLY, lost_connection
from utcp_ws_mcp.core.exchange.exchange import CloseInfo
from utcp_ws_mcp.errors import Outcome
from utcp_ws_mcp.manifest.models.call_template import CallTemplate

REASON = "closed by the server without a code"


@pytest.mark.parametrize(
    ("fields", "received", "reason", "named"),
    [
        ({"protocol": ["chat", "${TOKEN}"]}, 0, REASON, '"protocol"'),
        ({"url": "wss://a.example/?key=${KEY}"}, 0, REASON, '"url"'),
        ({"url": "wss://a.example/?key={{ vars.KEY }}", "protocol": "${TOKEN}"}, 0, REASON, '"url" and "protocol"'),
        ({"url": "wss://a.example/?key=${KEY}"}, 1, REASON, None),
        ({"url": "wss://a.example/?key=${KEY}"}, 0, CLOSED_LOCALLY, None),
        ({"url": "wss://a.example/${ROOM}", "protocol": "chat"}, 0, REASON, None),
    ],
)
def test_a_server_that_says_nothing_may_have_refused_an_expired_credential(
    fields: dict[str, Any], received: int, reason: str, named: str | None
) -> None:
    template = CallTemplate.model_validate({"url": "wss://a.example/", **fields})
    connection: Any = SimpleNamespace(address="wss://a.example/", received_count=received)
    text = str(lost_connection(connection, CloseInfo(1005, reason), Outcome.NOT_SENT, template))
    assert ("has expired" in text) is (named is not None)
    assert named is None or f"Check whether the credential in {named} has expired." in text
