"""What an error says about how a connection ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from utcp_ws_mcp.client.close_info import (
    CLOSED_LOCALLY,
    describe_close,
    error_of_lost_exchange,
    excerpt_without_secrets,
    lost_connection,
    refuses_pings,
)
from utcp_ws_mcp.core.exchange.exchange import CloseInfo
from utcp_ws_mcp.core.exchange.held import MAX_HELD_MESSAGES
from utcp_ws_mcp.errors import (
    ConnectionLost,
    MessageTooBig,
    Outcome,
    SessionLost,
    TooManyHeldMessages,
    UnidentifiableReply,
    quote_endpoint,
)
from utcp_ws_mcp.manifest.models.call_template import CallTemplate
from utcp_ws_mcp.manifest.secret_names import MIN_SECRET_LENGTH

REASON = "closed by the server without a code"


@pytest.mark.parametrize(
    ("fields", "received", "reason", "named"),
    [
        ({"protocol": ["chat", "${TOKEN}"]}, 0, REASON, '"protocol"'),
        ({"url": "wss://a.example/?key=${KEY}"}, 0, REASON, '"url"'),
        ({"url": "wss://a.example/?key={{ vars.KEY }}", "protocol": "${TOKEN}"}, 0, REASON, '"url" and "protocol"'),
        ({"query": {"key": "${KEY}"}}, 0, REASON, '"query"'),
        ({"query": {"key": ["{{ vars.KEY }}"]}, "protocol": "${TOKEN}"}, 0, REASON, '"query" and "protocol"'),
        ({"query": {"key": "{{ args.key }}"}}, 0, REASON, None),
        ({"url": "wss://a.example/?key=${KEY}"}, 1, REASON, None),
        ({"url": "wss://a.example/?key=${KEY}"}, 0, CLOSED_LOCALLY, None),
        ({"url": "wss://a.example/${ROOM}", "protocol": "chat"}, 0, REASON, None),
    ],
)
def test_a_server_that_says_nothing_may_have_refused_an_expired_credential(
    fields: dict[str, Any], received: int, reason: str, named: str | None
) -> None:
    template = CallTemplate.model_validate({"url": "wss://a.example/", **fields})
    connection: Any = SimpleNamespace(
        address="wss://a.example/",
        received_count=received,
        closing_words="",
        dispatcher=SimpleNamespace(messages=SimpleNamespace(explains_close=None)),
    )
    text = str(lost_connection(connection, CloseInfo(1005, reason), Outcome.NOT_SENT, template))
    assert ("has expired" in text) is (named is not None)
    assert named is None or f"Check whether the credential in {named} has expired." in text


class Closed:
    """A WebSocket that has ended, with the close frames of both sides."""

    def __init__(
        self,
        received: tuple[int, str] | None = None,
        sent: int | None = None,
        *,
        by_peer: bool | None = None,
        abort_reason: str = "",
        ping_interval: float | None = 20.0,
    ) -> None:
        self.abort_reason = abort_reason
        self.ping_interval = ping_interval
        close_rcvd = None if received is None else SimpleNamespace(code=received[0], reason=received[1])
        close_sent = None if sent is None else SimpleNamespace(code=sent)
        self.protocol = SimpleNamespace(
            close_rcvd=close_rcvd, close_sent=close_sent, close_rcvd_then_sent=by_peer if by_peer is not None else True
        )


PEER = "closed by the server "


@pytest.mark.parametrize(
    ("websocket", "code", "reason"),
    [
        (Closed((1001, "bye"), 1001, abort_reason="the server stopped reading"), 1006, "the server stopped reading"),
        (Closed((1000, "ok"), 1000, by_peer=False), 1006, CLOSED_LOCALLY),
        (Closed((1009, ""), 1009, by_peer=False), 1006, CLOSED_LOCALLY),
        (Closed((1001, ""), 1001), 1001, f"{PEER}with code 1001 (going away)"),
        (Closed((1008, "bad t0ken!"), 1008), 1008, f"{PEER}with code 1008; {quote_endpoint('bad [removed]!')}"),
        (Closed((1005, ""), 1005), 1005, f"{PEER}without a code"),
        (Closed((1005, "x")), 1005, f"{PEER}without a code"),
        (Closed((1009, "")), 1009, f"{PEER}with code 1009 (message too big)"),
        (Closed((4001, "")), 4001, f"{PEER}with code 4001"),
        (Closed(sent=1009), 1009, "message too big"),
        (Closed(sent=1002), 1002, "the server violated the WebSocket protocol"),
        (Closed(sent=1007), 1007, "the server violated the WebSocket protocol"),
        (Closed(sent=1000), 1006, CLOSED_LOCALLY),
        (Closed(sent=1003), 1006, CLOSED_LOCALLY),
        (Closed(sent=1008), 1006, CLOSED_LOCALLY),
        (Closed(), 1006, "the network connection was cut"),
    ],
)
def test_the_end_of_a_connection_is_described_by_its_close_frames(websocket: Any, code: int, reason: str) -> None:
    info = describe_close(websocket, heartbeat_timed_out=False, redact=lambda text: text.replace("t0ken", "[removed]"))
    assert (info.code, info.reason) == (code, reason)


@pytest.mark.parametrize(
    ("websocket", "code", "reason"),
    [
        (Closed(sent=1000), 1006, "the server stopped answering pings"),
        (Closed(), 1006, "the server stopped answering pings"),
        (Closed(sent=1009), 1009, "message too big"),
        (Closed((1001, "")), 1001, f"{PEER}with code 1001 (going away)"),
    ],
)
def test_a_heartbeat_without_an_answer_explains_an_end_without_a_close_frame(
    websocket: Any, code: int, reason: str
) -> None:
    info = describe_close(websocket, heartbeat_timed_out=True)
    assert (info.code, info.reason) == (code, reason)


@pytest.mark.parametrize(
    ("websocket", "idle", "refuses"),
    [
        (Closed((1008, "too many PINGs")), False, True),
        (Closed((4000, "ping flood")), False, True),
        (Closed((1008, "go away")), True, True),
        (Closed((1008, "go away")), False, False),
        (Closed((1011, "go away")), True, False),
        (Closed((1008, "ping"), by_peer=False), True, False),
        (Closed((1008, "ping"), ping_interval=None), True, False),
        (Closed(), True, False),
    ],
)
def test_a_server_that_closes_because_of_pings_is_recognized(websocket: Any, idle: bool, refuses: bool) -> None:
    assert refuses_pings(websocket, idle=idle) is refuses


@pytest.mark.parametrize(
    ("message", "secrets", "shown"),
    [
        ("denied", ["another secret"], "denied"),
        ("denied: s3cretvalue", ["s3cretvalue"], ""),
        ("denied: s3cretvalue", [{"a": [1, None, {"b": "s3cretvalue"}]}], ""),
        ("denied: s3cretvalue", [["x", ["s3cretvalue"]]], ""),
        ("denied: 1234567", [1234567], "denied: 1234567"),
        ("denied: " + "s" * MIN_SECRET_LENGTH, ["s" * MIN_SECRET_LENGTH], ""),
        ("denied: " + "s" * (MIN_SECRET_LENGTH - 1), ["s" * (MIN_SECRET_LENGTH - 1)], "denied: sss"),
        (b"denied: s3cretvalue\xff", ["s3cretvalue"], ""),
    ],
)
def test_a_message_that_repeats_a_secret_is_not_shown(message: Any, secrets: list[Any], shown: str) -> None:
    decoded: Any = SimpleNamespace(for_display=message)
    assert excerpt_without_secrets(decoded, secrets).startswith(shown)
    assert bool(excerpt_without_secrets(decoded, secrets)) is bool(shown)


def test_other_secrets_are_removed_before_a_message_is_cut() -> None:
    message: Any = SimpleNamespace(for_display='{"password": "hunter2hunter2", "x": "token"}')
    shown = excerpt_without_secrets(message, [], lambda text: text.replace("token", "[removed]"))
    assert "[removed]" in shown
    assert "hunter2" not in shown


# What failed a call


def exchange(**fields: Any) -> Any:
    return SimpleNamespace(**{"is_unproven": False, "is_flooded": False, "failure": "", "close_info": None, **fields})


def lost_over(close: CloseInfo | None = None, *, oversized: bool = False, lost: int = 1, **fields: Any) -> Any:
    connection: Any = SimpleNamespace(
        address="wss://a.example/",
        received_count=1,
        unsolicited_excerpt="a price",
        closed_by_oversized_message=oversized,
        closing_words="",
        dispatcher=SimpleNamespace(
            lost=lost, unsolicited=SimpleNamespace(last=None), messages=SimpleNamespace(explains_close=None)
        ),
    )
    template = CallTemplate.model_validate({"name": "m", "url": "wss://a/", "limits": {"max_message_bytes": 5000}})
    tool: Any = SimpleNamespace(full_name="m.t", template=template)
    return error_of_lost_exchange(connection, exchange(close_info=close, **fields), tool, Outcome.NOT_SENT)


@pytest.mark.parametrize(
    ("error", "kind", "text", "outcome"),
    [
        (lost_over(is_unproven=True), UnidentifiableReply, "a price", Outcome.MAYBE_EXECUTED),
        (lost_over(is_flooded=True), TooManyHeldMessages, f"{MAX_HELD_MESSAGES:,}", Outcome.NOT_SENT),
        (lost_over(failure="logged out"), SessionLost, "logged out", Outcome.NOT_SENT),
        (lost_over(CloseInfo(1001, "gone")), ConnectionLost, "gone.", Outcome.NOT_SENT),
        (lost_over(CloseInfo(1009, "too big")), ConnectionLost, "too big.", Outcome.NOT_SENT),
        (lost_over(CloseInfo(1001, "gone"), oversized=True), ConnectionLost, "gone.", Outcome.NOT_SENT),
        (lost_over(CloseInfo(1009, "too big"), oversized=True), MessageTooBig, "5,000", Outcome.NOT_SENT),
    ],
)
def test_why_an_exchange_ended_without_its_reply(error: Any, kind: type, text: str, outcome: Outcome) -> None:
    assert type(error) is kind
    assert text in str(error)
    assert error.outcome is outcome


def test_an_exchange_that_was_not_lost_has_no_error() -> None:
    assert lost_over() is None


def test_a_message_that_is_too_big_may_be_the_reply_to_another_call() -> None:
    close = CloseInfo(1009, "too big")
    alone, beside = (str(lost_over(close, oversized=True, lost=lost)) for lost in (1, 2))
    assert alone != beside


def test_a_lost_connection_has_the_code_of_its_end() -> None:
    assert lost_over(CloseInfo(4001, "gone")).close_code == 4001
