"""Messages that were due and could not be rendered are reported, and nothing else suffers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE, Peer, bridge_to, entry, peer
from utcp_ws_mcp import Bridge, load_manifest
from utcp_ws_mcp.errors import BridgeError
from utcp_ws_mcp.observability.events import Event, MatchExplained, MessageReceived, MessageSendFailed, MessageSent

ASKS = {"message": {"q": "{{ args.q | default(1) }}"}, "response_format": "json"}
BACK = [{"match": "message.ping", "send": {"pong": "{{ message.nothing.here }}"}}]


async def answer(seen: Peer, connection: Any, message: Any) -> None:
    await connection.send(json.dumps({"ping": 1}))
    await connection.send(json.dumps({"done": 1}))


@pytest.mark.parametrize("where", ["the connection", "the tool"])
async def test_an_answer_that_lacks_a_value_is_reported(tmp_path: Path, where: str) -> None:
    events: list[Event] = []
    tool = {"name": "t", "tool_call_template": {"auto_reply": BACK} if where == "the tool" else {}}
    common = {"auto_reply": BACK} if where == "the connection" else {}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, tool, **ASKS, **common), events=events) as bridge:
        assert await bridge.call_tool("m.t") == {"done": 1}
    assert MessageSendFailed("m", "auto_reply", "{{ message.nothing.here }} has no value.") in events
    assert len(seen.received) == 1


@pytest.mark.parametrize("where", ["the connection", "the tool"])
async def test_an_answer_is_reported_after_the_message_that_it_answers(tmp_path: Path, where: str) -> None:
    events: list[Event] = []
    back = [{"match": "message.ping", "send": {"pong": "{{ message.ping }}"}}]
    tool = {"name": "t", "tool_call_template": {"auto_reply": back} if where == "the tool" else {}}
    common = {"auto_reply": back} if where == "the connection" else {}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, tool, **ASKS, **common), events=events) as bridge:
        await bridge.call_tool("m.t")
    place = events.index(MessageReceived("m", '{"ping": 1}', "auto-replied"))
    assert events[place + 1] == MessageSent("m", '{"pong":1}', "auto_reply")


async def test_a_cancel_that_lacks_a_value_is_reported(tmp_path: Path) -> None:
    events: list[Event] = []
    stream = {"max_items": 1, "item": "message", "cancel": {"id": "{{ session.id }}"}}
    async with peer(answer) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", **ASKS, stream=stream), events=events) as bridge:
            await bridge.call_tool("m.t")
    assert MessageSendFailed("m", "stream.cancel", "{{ session.id }} has no value.") in events


@pytest.mark.parametrize(
    ("heartbeat", "why"),
    [
        ({"every": 0.05, "send": {"seq": "{{ session.seq }}"}}, "{{ session.seq }} has no value."),
        ({"every": "session.pause", "send": "ping"}, "heartbeat.every: session.pause is not a number above zero."),
    ],
)
async def test_a_heartbeat_that_lacks_a_value_is_reported(tmp_path: Path, heartbeat: dict[str, Any], why: str) -> None:
    reported = anyio.Event()

    def observe(event: Event) -> None:
        if event == MessageSendFailed("m", "heartbeat", why):
            reported.set()

    document = {"reply": {"match": "message.done"}, "heartbeat": heartbeat, **ASKS}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **document), observe=observe) as bridge:
        await bridge.call_tool("m.t")
        with anyio.fail_after(PATIENCE):
            await reported.wait()


async def test_reasons_follow_their_message_only_where_they_are_asked_for(tmp_path: Path) -> None:
    async def events_of(*, explain: bool) -> list[Event]:
        events: list[Event] = []
        async with peer(answer) as seen:
            document = entry(seen, "t", **ASKS, ignore="message.ping", on_connect=[{"send": {"hi": 1}}])
            file = tmp_path / "manifest.json"
            file.write_text(json.dumps(document))
            loaded = [load_manifest(file, {})]
            async with Bridge(loaded, observe=events.append, trace_rules=explain) as bridge:
                await bridge.call_tool("m.t")
        return events

    events = await events_of(explain=True)
    said = [events[index + 1] for index, event in enumerate(events) if isinstance(event, MessageReceived)]
    assert MatchExplained("m", ("ignore[0] holds: message.ping (message.ping is 1)",)) in said
    assert [event.purpose for event in events if isinstance(event, MessageSent)] == ["on_connect[0]", ""]
    assert not [event for event in await events_of(explain=False) if isinstance(event, MatchExplained)]


async def test_the_numbers_of_requests_have_no_gap_where_one_could_not_be_filled(tmp_path: Path) -> None:
    async def answer_by_number(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": message["id"], "value": message["value"]}))

    fields = {
        "request_id": "counter",
        "message": {"id": "{{ request_id }}", "value": "{{ args.value | from_json }}"},
        "reply": {"match": "message.id == request_id", "result": "message.value"},
    }
    async with peer(answer_by_number) as seen, bridge_to(tmp_path, entry(seen, "t", **fields)) as bridge:
        await bridge.call_tool("m.t", {"value": "5"})
        with pytest.raises(BridgeError, match="expression-failed"):
            await bridge.call_tool("m.t", {"value": "{"})
        await bridge.call_tool("m.t", {"value": "6"})
    assert [message["id"] for message in seen.received] == [1, 2]
