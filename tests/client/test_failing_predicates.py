"""A predicate that cannot be evaluated on a message is not the same as a false one: the error of the call names it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.client.test_http_steps import always, http_server
from tests.peer import PATIENCE, Peer, bridge_to, entry, peer
from utcp_ws_mcp import BridgeError, CallTimeout, InvalidReply
from utcp_ws_mcp.errors import ConnectError
from utcp_ws_mcp.observability.events import Event, PredicateFailed
from utcp_ws_mcp.observability.logging import log_event
from utcp_ws_mcp.observability.trace import Trace

BY_ID = {"match": "message.id == request_id"}
DOCUMENT = {"request_id": "counter", "message": {"id": "{{ request_id }}"}, "response_format": "json"}


async def answer(seen: Peer, connection: Any, message: Any) -> None:
    await connection.send(json.dumps({"id": message["id"], "n": 1, "none": None}))


CLASSIFYING = {
    "an error": ({"reply": {**BY_ID, "error": "message.startswith('ERR')"}}, "reply.error"),
    "an acknowledgement": ({"reply": {**BY_ID, "ack": "message.n.startswith('a')"}}, "reply.ack"),
    "what is ignored": ({"reply": BY_ID, "ignore": ["message.x == 1", "message.n - 'a' > 0"]}, "ignore[1]"),
    "null": ({"reply": {**BY_ID, "error": "message.none.startswith('ERR')"}}, "reply.error"),
    "a filter": ({"reply": {**BY_ID, "error": "(('x' ~ message.n) | from_json).x == 1"}}, "reply.error"),
    "an end": ({"reply": BY_ID, "stream": {"until": "message.startswith('END')"}}, "stream.until[0]"),
}


@pytest.mark.parametrize(("fields", "field"), CLASSIFYING.values(), ids=CLASSIFYING)
async def test_a_predicate_that_cannot_be_evaluated_on_the_answer_fails_the_call(
    tmp_path: Path, fields: dict[str, Any], field: str
) -> None:
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **DOCUMENT, **fields)) as bridge:
        with pytest.raises(InvalidReply) as failed:
            await bridge.call_tool("m.t")

    assert failed.value.code == "predicate-failed"
    assert f"m.t: {field}: the expression " in str(failed.value)
    assert "Check the kind of the value first" in str(failed.value)


async def test_a_method_of_a_value_that_the_answer_lacks_is_false(tmp_path: Path) -> None:
    fields = {"reply": {**BY_ID, "error": "message.error.startswith('E')"}, "ignore": "message.log.startswith('x')"}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **DOCUMENT, **fields)) as bridge:
        assert (await bridge.call_tool("m.t"))["n"] == 1


async def test_a_timeout_names_the_predicate_that_could_not_be_evaluated(tmp_path: Path) -> None:
    fields = {"timeout": 0.5, "reply": {"match": "message.startswith('OK')"}}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **{**DOCUMENT, **fields})) as bridge:
        with pytest.raises(CallTimeout, match="reply.match: the expression .* failed: a value has no method"):
            await bridge.call_tool("m.t")


LOGINS = {
    "when": ({"send": {"hi": 1}, "when": "vars.MODE.startswith(1)"}, "when: the expression"),
    "fail on the expected message": (
        {"expect": "message.hello", "fail": "message.hello - 'a' > 0", "timeout": 5},
        "fail: the expression",
    ),
    "expect": ({"expect": "message.startswith('OK')", "timeout": 0.5}, "expect: the expression"),
    "fail before a timeout": (
        {"expect": "message.other", "fail": "message.startswith('ERR')", "timeout": 0.5},
        "fail: the expression",
    ),
}


@pytest.mark.parametrize(("step", "reason"), LOGINS.values(), ids=LOGINS)
async def test_a_login_whose_predicate_cannot_be_evaluated_names_it(
    tmp_path: Path, step: dict[str, Any], reason: str
) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"hello": 1}))

    async with peer(answer, greet=greet) as seen:
        document = entry(seen, "t", **DOCUMENT, reply=BY_ID, on_connect=[step], variables={"MODE": "x"})
        async with bridge_to(tmp_path, document) as bridge:
            with pytest.raises(ConnectError, match=re.escape(reason)) as failed:
                await bridge.call_tool("m.t")

    assert "on_connect[0]" in str(failed.value)
    assert failed.value.code == ("login-timeout" if step.get("timeout") == 0.5 else "predicate-failed")


async def test_a_message_that_a_login_does_not_wait_for_may_be_of_another_kind(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps([1]))
        await connection.send("OK")

    step = {"expect": "message == 'OK'", "fail": "message.startswith('ERR')", "timeout": 5}
    async with peer(answer, greet=greet) as seen:
        document = entry(seen, "t", **DOCUMENT, reply=BY_ID, on_connect=[step])
        async with bridge_to(tmp_path, document) as bridge:
            assert (await bridge.call_tool("m.t"))["n"] == 1


@pytest.mark.parametrize("where", ["before_connect", "on_connect", "before_message"])
@pytest.mark.parametrize("field", ["when", "fail"])
async def test_an_http_step_whose_predicate_cannot_be_evaluated_names_it(
    tmp_path: Path, where: str, field: str
) -> None:
    async with http_server(always(200, {"n": 1})) as http, peer(answer) as seen:
        predicate = {"when": "vars.MODE.startswith(1)", "fail": "body.n - 'a' > 0"}[field]
        step = {"http": {"url": http.url()}, field: predicate}
        document = entry(seen, "t", **DOCUMENT, reply=BY_ID, variables={"MODE": "x"}, **{where: [step]})
        async with bridge_to(tmp_path, document) as bridge:
            with pytest.raises(BridgeError, match=rf"{where}\[0\].*{field}: the expression"):
                await bridge.call_tool("m.t")


ON_CONNECTIONS: dict[str, dict[str, Any]] = {
    "reconnect_when": {"reconnect_when": "message.n - 'a' > 0"},
    "fail_when": {"fail_when": "message.n - 'a' > 0"},
    "auto_reply": {"auto_reply": [{"match": "message.n - 'a' > 0", "send": "x"}]},
    "capture": {"capture": [{"match": "message.n - 'a' > 0", "set": {"x": "message.n"}}]},
    "on_disconnect[0].when": {"on_disconnect": [{"when": "vars.MODE - 1 > 0", "send": "bye"}]},
    "heartbeat.expect": {"heartbeat": {"every": 0.05, "send": "ping", "expect": "message.n - 'a' > 0", "timeout": 30}},
}


@pytest.mark.parametrize(("field", "fields"), ON_CONNECTIONS.items(), ids=ON_CONNECTIONS)
async def test_a_predicate_of_the_connection_that_cannot_be_evaluated_is_reported_once(
    tmp_path: Path, field: str, fields: dict[str, Any]
) -> None:
    events: list[Event] = []
    reported = anyio.Event()

    def observe(event: Event) -> None:
        events.append(event)
        if isinstance(event, PredicateFailed):
            reported.set()

    async def reply(seen: Peer, connection: Any, message: Any) -> None:
        await answer(seen, connection, message if isinstance(message, dict) else {"id": None})

    async with peer(reply) as seen:
        document = entry(seen, "t", **DOCUMENT, reply=BY_ID, variables={"MODE": "x"}, **fields)
        async with bridge_to(tmp_path, document, observe=observe) as bridge:
            for _ in range(2):
                assert (await bridge.call_tool("m.t"))["n"] == 1
            with anyio.fail_after(PATIENCE):
                await (anyio.sleep(0) if field.startswith("on_disconnect") else reported.wait())
    (failed,) = [event for event in events if isinstance(event, PredicateFailed)]

    assert (failed.manual, failed.field) == ("m", field)
    assert "failed: " in failed.reason


def test_the_log_and_the_trace_name_the_field_of_a_predicate_that_cannot_be_evaluated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    event, printed = PredicateFailed("m", "reconnect_when", "the expression 'x' failed: no."), io.StringIO()
    log_event(event)
    Trace(str, printed)(event)

    text = "reconnect_when counts as false: the expression 'x' failed: no."
    text = f"m: {text} Check the kind of the value first. [predicate-failed]"
    assert caplog.messages == [text]
    assert printed.getvalue().endswith(f"! {text}\n")
