"""The public API: what observers get, what a reload keeps, and how a bridge ends."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.client.test_discovery import announces, manual
from tests.peer import PATIENCE, Peer, bridge_to, entry, jsonrpc, peer, silent
from utcp_ws_mcp import Bridge, CallTimeout, InvalidArguments, InvalidManifest, ToolError, UnknownTool, load_manifest
from utcp_ws_mcp.errors import ConnectError
from utcp_ws_mcp.observability.events import (
    CallFinished,
    ConnectionClosed,
    Event,
    MatchExplained,
    SelectiveObserver,
    WarningIssued,
)
from utcp_ws_mcp.observability.feed_events import FeedOpened
from utcp_ws_mcp.observability.redaction import Redactor

RPC = {"preset": "jsonrpc2"}


def finished(events: list[Event]) -> list[CallFinished]:
    return [event for event in events if isinstance(event, CallFinished)]


async def answer(seen: Peer, connection: Any, message: Any) -> None:
    if message["method"] == "fails":
        await connection.send(json.dumps({"id": message["id"], "error": {"message": "no"}}))
    elif message["method"] != "waits":
        await jsonrpc(seen, connection, message)


async def test_each_call_that_ends_is_an_event_with_its_full_name(tmp_path: Path) -> None:
    events: list[Event] = []
    async with (
        peer(answer) as seen,
        bridge_to(tmp_path, entry(seen, "t", "fails", "waits", **RPC), events=events) as bridge,
    ):
        assert await bridge.call_tool("m_t", {"n": 1}) == {"n": 1}
        with pytest.raises(ToolError):
            await bridge.call_tool("m.fails")
        with pytest.raises(CallTimeout):
            await bridge.call_tool("m.waits", timeout=0.01)
        with pytest.raises(UnknownTool):
            await bridge.call_tool("m.zzz")
        with anyio.move_on_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bridge.call_tool, "m.waits")
                await seen.until(lambda: sum(each["method"] == "waits" for each in seen.received) == 2)
                tasks.cancel_scope.cancel()
    ended = finished(events)
    assert [(event.tool, event.error_type, event.error_code) for event in ended] == [
        ("m.t", None, None),
        ("m.fails", "ToolError", "tool-error"),
        ("m.waits", "CallTimeout", "reply-timeout"),
        ("m.zzz", "UnknownTool", "unknown-tool"),
        ("m.waits", "Cancelled", None),
    ]
    assert [event.error for event in ended][:2] == [None, "the endpoint said: no [tool-error]"]
    assert ended[-1].error == "cancelled"
    assert all(0 <= event.seconds < PATIENCE for event in ended)
    assert ended[2].seconds >= 0.01


async def test_an_observer_that_ignores_calls_gets_no_event_of_them(tmp_path: Path) -> None:
    events: list[Event] = []
    observe = SelectiveObserver(events.append, frozenset({CallFinished}))
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC), observe=observe) as bridge:
        await bridge.call_tool("m.t", {"n": 1})
    assert finished(events) == []
    assert events != []


async def test_an_observer_that_fails_is_logged_and_breaks_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Event) -> None:
        raise ValueError("a bug of the observer")

    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC), observe=fail) as bridge:
        assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}
    assert {record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR} == {
        "an observer failed"
    }


async def test_an_error_of_a_connection_shows_no_credential(tmp_path: Path) -> None:
    async def repeat(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"error": f"{message['token']} is wrong"}))

    login = {"on_connect": [{"send": {"token": "${TOKEN}"}}, {"expect": "false", "fail": "message.error"}]}
    async with peer(repeat) as seen:
        document = entry(seen, "t", **login, **RPC)
        async with bridge_to(tmp_path, document, environ={"TOKEN": "s3cret-token"}) as bridge:
            with pytest.raises(ConnectError) as refused:
                await bridge.call_tool("m.t")
    for text in (str(refused.value), refused.value.reason, *refused.value.args):
        assert "s3cret" not in text
        assert "*** is wrong" in text


async def test_a_timeout_of_a_call_takes_the_place_of_that_of_the_manifest(tmp_path: Path) -> None:
    async with peer(silent) as seen, bridge_to(tmp_path, entry(seen, "t", timeout=PATIENCE * 10, **RPC)) as bridge:
        with pytest.raises(CallTimeout) as late:
            await bridge.call_tool("m.t", timeout=0.01)
    assert late.value.timeout == 0.01


async def test_arguments_that_come_as_text_are_warned_of_once_for_each_tool(tmp_path: Path) -> None:
    events: list[Event] = []
    tools = [{"name": name, "inputs": {"properties": {"n": {"type": "integer"}}}} for name in ("a", "b")]
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, *tools, **RPC), events=events) as bridge:
        for name in ("m.a", "m.a", "m.b", "m.a"):
            assert await bridge.call_tool(name, {"n": "1"}) == {"n": 1}
    warnings = [event.text for event in events if isinstance(event, WarningIssued)]
    text = "the caller sends arguments as JSON in a text where the schema allows no text. They are read."
    assert warnings == [f"{name}: {text} [argument-read-from-text]" for name in ("m.a", "m.b")]


async def test_the_items_of_a_stream_are_yielded_until_its_end(tmp_path: Path) -> None:
    async def count(seen: Peer, connection: Any, message: Any) -> None:
        if message["method"] == "s":
            for number in range(3):
                await connection.send(json.dumps({"id": message["id"], "result": number}))

    stream = {"stream": {"until": "message.result == 2"}}
    async with peer(count) as seen, bridge_to(tmp_path, entry(seen, "s", **RPC, **stream)) as bridge:
        assert [item async for item in bridge.call_tool_streaming("m.s")] == [0, 1]
        with pytest.raises(UnknownTool):
            await anext(bridge.call_tool_streaming("m.zzz"))


async def test_wrong_arguments_of_a_stream_are_refused_before_it_is_opened(tmp_path: Path) -> None:
    tool = {"name": "s", "inputs": {"properties": {"n": {"type": "integer"}}}, "tool_call_template": {"stream": True}}
    async with peer(silent) as seen, bridge_to(tmp_path, entry(seen, tool)) as bridge:
        with pytest.raises(InvalidArguments):
            await anext(bridge.call_tool_streaming("m.s", {"n": "x"}))
    assert seen.upgrades == []


async def test_the_callbacks_are_called_when_a_manual_is_discovered(tmp_path: Path) -> None:
    discovered: list[tuple[str, Any]] = []
    changes: list[int] = []
    file = tmp_path / "m.json"
    async with peer(announces(manual("a", "b"))) as seen:
        file.write_text(json.dumps(entry(seen)))
        bridge = Bridge.open(file)
        bridge.on_manual_discovered.append(lambda name, document: discovered.append((name, document)))
        bridge.on_tools_changed.append(lambda: changes.append(len(bridge.tools)))
        async with bridge:
            assert await bridge.wait_discovered(PATIENCE)
            assert bridge.is_ready
    assert [(name, len(document["tools"])) for name, document in discovered] == [("m", 2)]
    assert changes == [2]


async def test_a_reload_keeps_what_did_not_change_and_closes_the_rest(tmp_path: Path) -> None:
    changes: list[list[str]] = []
    async with peer(announces(manual("a"))) as kept, peer(announces(manual("b"))) as changed, peer(jsonrpc) as gone:
        first = [
            {**entry(kept), "name": "kept"},
            {**entry(changed), "name": "changed"},
            {**entry(gone, "t", **RPC), "name": "gone"},
        ]
        second = [first[0], {**first[1], "timeout": 5}, {**entry(gone, "u", **RPC), "name": "new"}]
        async with bridge_to(tmp_path, first) as bridge:
            bridge.on_tools_changed.append(lambda: changes.append(sorted(bridge.tools)))
            assert await bridge.wait_discovered(PATIENCE)
            await bridge.call_tool("gone.t", {"n": 1})
            (tmp_path / "second.json").write_text(json.dumps(second))
            bridge.reload([load_manifest(tmp_path / "second.json")])
            assert {"kept.a", "new.u"} <= {*bridge.tools}
            assert "gone.t" not in bridge.tools
            assert await bridge.wait_discovered(PATIENCE)
            assert sorted(bridge.tools) == ["changed.b", "kept.a", "new.u"]
            await gone.until(lambda: len(gone.closed) == 1)
            assert await bridge.call_tool("new.u", {"n": 2}) == {"n": 2}
            assert (len(kept.upgrades), len(changed.upgrades)) == (1, 2)
    assert changes[-1] == ["changed.b", "kept.a", "new.u"]


async def test_a_reload_that_names_two_call_templates_alike_changes_nothing(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        again = load_manifest(tmp_path / "manifest.json")
        with pytest.raises(InvalidManifest):
            bridge.reload([again, again])
        assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}


async def test_a_reload_makes_the_new_secrets_known(tmp_path: Path) -> None:
    redactor = Redactor()
    file = tmp_path / "m.json"

    def loaded(secret: str) -> Any:
        document = {"name": "m", "url": "wss://a.example/", "headers": {"x": "${KEY}"}, "tools": [{"name": "t"}]}
        file.write_text(json.dumps(document))
        return [load_manifest(file, environ={"KEY": secret})]

    async with Bridge(loaded("first-secret"), redactor=redactor) as bridge:
        assert bridge.redactor is redactor
        bridge.reload(loaded("second-secret"))
        assert redactor("first-secret second-secret") == "*** ***"


async def test_the_end_closes_connections_with_1001_and_ends_discoveries(tmp_path: Path) -> None:
    events: list[Event] = []
    async with peer(jsonrpc) as seen, peer(silent) as mute:
        document = [entry(seen, "t", **RPC), {**entry(mute), "name": "mute"}]
        async with bridge_to(tmp_path, document, events=events) as bridge:
            await bridge.call_tool("m.t", {"n": 1})
            await mute.until(lambda: len(mute.received) == 1)
        await seen.until(lambda: len(seen.closed) == 1)
        await mute.until(lambda: len(mute.closed) == 1)
    assert seen.closed[0][0] == 1001
    assert {event.remote for event in events if isinstance(event, ConnectionClosed)} == {False}


async def test_a_bridge_ends_although_its_task_is_cancelled(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        with anyio.CancelScope() as scope:
            async with bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
                await bridge.call_tool("m.t", {"n": 1})
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        await seen.until(lambda: len(seen.closed) == 1)


async def test_a_bridge_is_opened_with_variables_and_their_files(tmp_path: Path) -> None:
    file, env = tmp_path / "m.json", tmp_path / "more.env"
    env.write_text("B=from-the-file\n")
    async with peer(jsonrpc) as seen:
        headers = {"X-A": "${A}", "X-B": "${B}"}
        file.write_text(json.dumps(entry(seen, "t", headers=headers, **RPC)))
        async with Bridge.open(file, environ={"A": "from-the-environment"}, env_files=[env]) as bridge:
            await bridge.call_tool("m.t", {"n": 1})
    found = seen.upgrades[0].headers
    assert (found["X-A"], found["X-B"]) == ("from-the-environment", "from-the-file")


@pytest.mark.parametrize("trace_rules", [True, False])
async def test_the_rules_that_decided_are_explained_only_if_it_is_asked_for(tmp_path: Path, trace_rules: bool) -> None:
    events: list[Event] = []
    file = tmp_path / "m.json"
    async with peer(jsonrpc) as seen:
        file.write_text(json.dumps(entry(seen, "t", **RPC)))
        async with Bridge([load_manifest(file)], observe=events.append, trace_rules=trace_rules) as bridge:
            await bridge.call_tool("m.t", {"n": 1})
    assert any(isinstance(event, MatchExplained) for event in events) is trace_rules


async def test_the_feeds_of_a_bridge_are_closed_before_its_connections(tmp_path: Path) -> None:
    events: list[Event] = []
    feed = {"name": "f", "match": "message.n is defined", "start": "start"}
    changes: list[str] = []
    async with peer(silent) as seen:
        document = {"name": "m", "url": seen.url, "feeds": [feed]}
        async with bridge_to(tmp_path, document, events=events) as bridge:
            bridge.on_feeds_changed.append(lambda: changes.append("changed"))
            end = bridge.watch_feed(bridge.tools["m.f_events"], {}, lambda: None)
            with anyio.fail_after(PATIENCE):
                while not any(isinstance(event, FeedOpened) for event in events):
                    await anyio.lowlevel.checkpoint()
            assert changes != []
            await bridge.aclose()
            kinds = [type(event).__name__ for event in events]
            assert "FeedInterrupted" not in kinds
            end()
