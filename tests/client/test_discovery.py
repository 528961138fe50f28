"""Endpoints that are asked for their tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.datastructures import Headers
from websockets.http11 import Response

from tests.peer import PATIENCE, Peer, bridge_to, echo, entry, peer, silent
from utcp_ws_mcp import Bridge, BridgeError, UnknownTool
from utcp_ws_mcp.client import discovery
from utcp_ws_mcp.core.backoff import FATAL_RETRY_INTERVAL
from utcp_ws_mcp.errors import ConnectError
from utcp_ws_mcp.observability.events import DiscoveryFailed, DiscoverySucceeded, Event, WarningIssued


def manual(*tools: Any, **more: Any) -> dict[str, Any]:
    listed = [{"name": tool} if isinstance(tool, str) else tool for tool in tools]
    return {"utcp_version": "1.0.0", "manual_version": "1.0.0", "tools": listed, **more}


def announces(document: Any) -> Any:
    """A peer that answers discovery with a document (or what a function gives) and echoes everything else."""

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if message == {"type": "utcp"}:
            await connection.send(json.dumps(document() if callable(document) else document))
        else:
            await echo(seen, connection, message)

    return answer


async def discovered(bridge: Bridge) -> list[str]:
    """The tools after every endpoint was asked once."""
    assert await bridge.wait_discovered(PATIENCE)
    return list(bridge.tools)


async def test_a_manual_brings_tools_that_use_the_connection_it_came_over(tmp_path: Path) -> None:
    async with peer(announces(manual("a", "b"))) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        assert await discovered(bridge) == ["m.a", "m.b"]
        assert await bridge.call_tool("m.a", {"n": 1}) == '{"n": 1}'
        assert len(seen.upgrades) == 1


async def test_messages_before_the_manual_are_skipped(tmp_path: Path) -> None:
    async def chatty(seen: Peer, connection: Any, message: Any) -> None:
        for noise in ("hello", json.dumps({"event": 1}), json.dumps([1]), b"\x00", json.dumps({"tools": "none"})):
            await connection.send(noise)
        await connection.send(json.dumps(manual("a")))

    async with peer(chatty) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        assert await discovered(bridge) == ["m.a"]


async def test_a_call_of_a_tool_that_is_still_being_discovered_waits_for_it(tmp_path: Path) -> None:
    async with peer(announces(manual("a"))) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        assert await bridge.call_tool("m.a", {"n": 1}) == '{"n": 1}'
        with pytest.raises(UnknownTool):
            await bridge.call_tool("m.other")


async def test_discovery_can_be_configured_with_what_to_send_and_where_the_manual_is(tmp_path: Path) -> None:
    async def by_text(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"noise": manual("wrong")}))
        await connection.send(json.dumps({"result": manual("a")}))

    asked = {"send": "manual", "manual": "message.result"}
    async with peer(by_text) as seen, bridge_to(tmp_path, entry(seen, discovery=asked)) as bridge:
        assert await discovered(bridge) == ["m.a"]
        assert seen.received == ["manual"]


async def test_listed_tools_win_over_discovered_ones(tmp_path: Path) -> None:
    theirs = manual({"name": "a", "description": "theirs"}, {"name": "b", "description": "theirs"})
    mine = {"name": "a", "description": "mine"}
    async with peer(announces(theirs)) as seen:
        async with bridge_to(tmp_path, entry(seen, mine, discovery="handshake")) as bridge:
            await discovered(bridge)
            assert {name: plan.description for name, plan in bridge.tools.items()} == {"m.a": "mine", "m.b": "theirs"}


async def test_tools_that_are_listed_are_not_asked_for(tmp_path: Path) -> None:
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, "a")) as bridge:
        assert await discovered(bridge) == ["m.a"]
        assert not seen.upgrades


async def test_globs_choose_among_discovered_tools(tmp_path: Path) -> None:
    chosen = {"include_tools": ["get_*", "x"], "exclude_tools": ["*_secret"]}
    async with peer(announces(manual("get_a", "get_secret", "set_a", "x"))) as seen:
        async with bridge_to(tmp_path, entry(seen, **chosen)) as bridge:
            assert await discovered(bridge) == ["m.get_a", "m.x"]


async def test_overrides_rename_describe_fix_and_hide(tmp_path: Path) -> None:
    tool = {
        "name": "search",
        "inputs": {
            "type": "object",
            "properties": {"q": {"type": "string"}, "index": {"type": "string"}, "limit": {"type": "integer"}},
            "required": ["q", "index"],
        },
    }
    override = {
        "name": "find",
        "description": "Find articles",
        "defaults": {"index": "articles", "limit": 5},
        "hidden": ["index"],
    }
    template = {"tool_overrides": {"search": override}, "response_format": "json"}
    async with peer(announces(manual(tool))) as seen, bridge_to(tmp_path, entry(seen, **template)) as bridge:
        assert await discovered(bridge) == ["m.find"]
        plan = bridge.tools["m.find"]
        assert plan.description == "Find articles"
        assert list(plan.inputs["properties"]) == ["q", "limit"]
        assert plan.inputs["required"] == ["q"]
        sent = await bridge.call_tool("m.find", {"q": "x", "index": "secrets"})
        assert sent == {"q": "x", "index": "articles", "limit": 5}


async def test_an_endpoint_that_closes_instead_of_a_manual_is_reported_with_what_to_write(tmp_path: Path) -> None:
    async def close(seen: Peer, connection: Any, message: Any) -> None:
        await connection.close(1011, "what?")

    async with peer(close) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        assert await discovered(bridge) == []
        text = str(bridge.discovery_errors["m"])
    assert "with code 1011; the endpoint said: “what?” If the endpoint does not speak UTCP, list its tools" in text
    assert "may have been executed" not in text


async def test_an_endpoint_that_gives_no_manual_is_distinguished_from_a_dead_one(tmp_path: Path) -> None:
    async with peer(silent) as seen, bridge_to(tmp_path, entry(seen, timeout=0.1)) as bridge:
        assert await discovered(bridge) == []
        assert 'list its tools in the manifest ("tools": […])' in str(bridge.discovery_errors["m"])


async def test_a_dead_endpoint_comes_back_by_itself_and_harms_no_other_endpoint(tmp_path: Path) -> None:
    async with peer(echo) as gone:
        port = gone.port
    events: list[Event] = []
    async with peer(announces(manual("a"))) as alive:
        document = [{"name": "dead", "url": f"ws://localhost:{port}/"}, entry(alive)]
        async with bridge_to(tmp_path, document, events=events) as bridge:
            assert await discovered(bridge) == ["m.a"]
            changed = anyio.Event()
            bridge.on_tools_changed.append(changed.set)
            async with peer(announces(manual("b")), port=port):
                with anyio.fail_after(PATIENCE):
                    await changed.wait()
                assert list(bridge.tools) == ["dead.b", "m.a"]
                assert await bridge.call_tool("dead.b", {"n": 1}) == '{"n": 1}'
    assert [type(event) for event in events if isinstance(event, DiscoveryFailed | DiscoverySucceeded)][
        0
    ] is DiscoveryFailed


async def test_a_manual_that_has_changed_when_the_endpoint_is_back_changes_the_tools(tmp_path: Path) -> None:
    versions = iter([manual("a"), manual("a", "b")])
    async with peer(announces(lambda: next(versions))) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        assert await discovered(bridge) == ["m.a"]
        changed = anyio.Event()
        bridge.on_tools_changed.append(changed.set)
        seen.open[0].transport.abort()
        with anyio.fail_after(PATIENCE):
            await changed.wait()
        assert list(bridge.tools) == ["m.a", "m.b"]


async def test_a_tool_that_points_elsewhere_is_left_out_with_a_notice(tmp_path: Path) -> None:
    async with peer(echo) as other:
        tools = manual("a", {"name": "b", "tool_call_template": {"url": other.url}})
        events: list[Event] = []
        async with peer(announces(tools)) as seen, bridge_to(tmp_path, entry(seen), events=events) as bridge:
            assert await discovered(bridge) == ["m.a"]
        notices = [event.text for event in events if isinstance(event, WarningIssued)]
        assert any("allow_origins" in notice for notice in notices)


async def test_a_tool_may_point_at_an_origin_that_the_manifest_lists_but_gets_no_credentials_there(
    tmp_path: Path,
) -> None:
    async with peer(echo) as other:
        tools = manual({"name": "b", "tool_call_template": {"url": other.url}})
        template = {
            "allow_origins": [other.url],
            "auth": {"auth_type": "api_key", "api_key": "s3cret"},
            "headers": {"X-Own": "s3cret"},
        }
        async with peer(announces(tools)) as seen, bridge_to(tmp_path, entry(seen, **template)) as bridge:
            assert await bridge.call_tool("m.b", {"n": 1}) == '{"n": 1}'
        assert seen.upgrades[0].headers["X-Api-Key"] == "s3cret"
        assert "X-Api-Key" not in other.upgrades[0].headers
        assert "X-Own" not in other.upgrades[0].headers


async def test_a_manual_reaches_only_variables_that_are_named_for_it(tmp_path: Path) -> None:
    tools = manual(
        {
            "name": "a",
            "tool_call_template": {
                "auth": {"auth_type": "api_key", "api_key": "${KEY}", "var_name": "X-Key"},
                "message": {"text": "${KEY} ${HOME} UTCP_ARG_n_UTCP_ARG"},
            },
        },
        {"name": "b", "tool_call_template": {"auth": {"auth_type": "api_key", "api_key": "${HOME}"}}},
    )
    environ = {"m_KEY": "mine", "KEY": "not-mine", "HOME": "not-mine"}
    async with peer(announces(tools)) as seen, bridge_to(tmp_path, entry(seen), environ=environ) as bridge:
        assert await discovered(bridge) == ["m.a"]
        assert await bridge.call_tool("m.a", {"n": 1}) == '{"text": "${KEY} ${HOME} 1"}'
        assert seen.upgrades[1].headers["X-Key"] == "mine"


@pytest.mark.parametrize(
    "template",
    [
        {"network": {"allow": ["private"]}},
        {"tls": {"insecure": True}},
        {"message": "{{ vars.KEY }}"},
        {"reply": {"match": "message|length > 5"}},
        {"headers": {"Host": "x"}},
        {"call_template_type": "cli", "command": "rm"},
        {"url": "{{ args.url }}"},
    ],
    ids=str,
)
async def test_what_a_manual_may_not_say_is_left_out_and_the_rest_is_offered(
    tmp_path: Path, template: dict[str, Any]
) -> None:
    tools = manual("good", {"name": "bad", "tool_call_template": template})
    events: list[Event] = []
    async with peer(announces(tools)) as seen, bridge_to(tmp_path, entry(seen), events=events) as bridge:
        assert "m.good" in await discovered(bridge)
        if "m.bad" in bridge.tools:
            assert bridge.tools["m.bad"].template.network.allow == ()
            assert not bridge.tools["m.bad"].template.tls.insecure
    assert any(isinstance(event, WarningIssued) for event in events)


async def test_a_preset_that_a_tool_elsewhere_names_gets_no_variable_of_the_user(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"type": "auth_required"}))

    async with peer(echo, greet=greet) as other:
        tools = manual(
            {"name": "b", "tool_call_template": {"url": other.url, "preset": "homeassistant", "timeout": 0.5}}
        )
        environ = {"HOMEASSISTANT_TOKEN": "top-secret", "m_HOMEASSISTANT_TOKEN": "top-secret"}
        template = {"allow_origins": [other.url], "preset": "homeassistant", "on_connect": []}
        async with peer(announces(tools)) as seen:
            async with bridge_to(tmp_path, entry(seen, **template), environ=environ) as bridge:
                assert await bridge.wait_discovered(PATIENCE)
                with pytest.raises(BridgeError):
                    await bridge.call_tool("m.b", {})
    assert "top-secret" not in json.dumps(other.received)


async def test_a_call_of_a_missing_tool_asks_an_endpoint_that_failed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utcp_ws_mcp.client.discovery.backoff_delay", lambda *_: 3600.0)
    async with peer(echo) as gone:
        pass
    async with bridge_to(tmp_path, entry(gone)) as bridge:
        assert await discovered(bridge) == []
        async with peer(announces(manual("t")), port=gone.port):
            with anyio.fail_after(PATIENCE):
                assert await bridge.call_tool("m.t", {"n": 1}) == '{"n": 1}'


async def test_a_call_that_comes_while_a_question_fails_waits_for_the_next_one(tmp_path: Path) -> None:
    """`python -m verification.reliability.fault_matrix` found that it got the failure of a question asked before it."""
    fail, results = anyio.Event(), []

    async def third_time(seen: Peer, connection: Any, message: Any) -> None:
        asked = seen.received.count({"type": "utcp"})
        if asked == 2:
            await fail.wait()
        if asked < 3:
            await connection.close()
        else:
            await announces(manual("a"))(seen, connection, message)

    async def call() -> None:
        results.append(await bridge.call_tool("m.a", {"n": 1}))

    async with peer(third_time) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        await discovered(bridge)
        await seen.until(lambda: len(seen.received) == 2)
        async with anyio.create_task_group() as calls:
            calls.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            fail.set()
    assert results == ['{"n": 1}']


async def test_an_endpoint_that_refuses_the_credentials_is_not_asked_in_a_loop(tmp_path: Path) -> None:
    def refuse(connection: Any, request: Any) -> Any:
        return connection.respond(401, "no")

    events: list[Event] = []
    async with peer(echo, process_request=refuse) as seen, bridge_to(tmp_path, entry(seen), events=events) as bridge:
        assert await discovered(bridge) == []
    assert [event.retry_in for event in events if isinstance(event, DiscoveryFailed)] == [FATAL_RETRY_INTERVAL]


async def test_every_call_that_waits_for_a_missing_tool_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # found by seed 299 of reliability.simulation_runs
    monkeypatch.setattr("utcp_ws_mcp.client.discovery.backoff_delay", lambda *_: 3600.0)
    async with peer(echo) as gone:
        pass
    async with bridge_to(tmp_path, entry(gone)) as bridge:
        assert await discovered(bridge) == []
        failed: list[Exception] = []

        async def call() -> None:
            try:
                await bridge.call_tool("m.t")
            except ConnectError as error:
                failed.append(error)

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as calls:
                for _ in range(3):
                    calls.start_soon(call)
        assert len(failed) == 3


@pytest.mark.parametrize(("code", "pause"), [(4100, 30.0), (4401, 1.5)])
async def test_a_close_code_that_the_manifest_calls_final_makes_discovery_wait_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, pause: float
) -> None:
    monkeypatch.setattr(discovery, "backoff_delay", lambda failures, random: 1.5)

    async def closes(seen: Peer, connection: Any, message: Any) -> None:
        await connection.close(code)

    events: list[Event] = []
    async with peer(closes) as seen:
        async with bridge_to(tmp_path, entry(seen, final_close_codes=[4100]), events=events) as bridge:
            assert await discovered(bridge) == []
    assert [event.retry_in for event in events if isinstance(event, DiscoveryFailed)] == [pause]


async def test_an_endpoint_that_closes_after_each_manual_is_asked_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[int] = []
    enough = anyio.Event()

    def note(count: int, random: Any) -> float:
        losses.append(count)
        if len(losses) == 4:
            enough.set()
        return 0.0

    monkeypatch.setattr(discovery, "backoff_delay", note)
    monkeypatch.setattr(discovery, "with_jitter", lambda *given: 0.0)

    async def closes(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps(manual("a")))
        await connection.close()

    async with peer(closes) as seen, bridge_to(tmp_path, entry(seen)):
        with anyio.fail_after(PATIENCE):
            await enough.wait()

    assert losses[:4] == [2, 3, 4, 5]


async def test_a_call_that_reaches_an_endpoint_again_has_its_manual_fetched_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_away = True

    def refuse(connection: Any, request: Any) -> Response | None:
        return Response(503, "Unavailable", Headers()) if is_away else None

    monkeypatch.setattr(discovery, "backoff_delay", lambda failures, random: 1000.0)
    async with peer(announces(manual("b")), process_request=refuse) as seen:
        async with bridge_to(tmp_path, entry(seen, "a", discovery="handshake")) as bridge:
            assert await discovered(bridge) == ["m.a"]
            changed = anyio.Event()
            bridge.on_tools_changed.append(changed.set)
            is_away = False
            assert await bridge.call_tool("m.a", {"n": 1}) == '{"n": 1}'
            with anyio.fail_after(PATIENCE):
                await changed.wait()
            assert list(bridge.tools) == ["m.a", "m.b"]
