"""Callers with values of their own over HTTP: each reaches the endpoint with its own, and learns of no other."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.peer import PATIENCE, Peer, entry, peer
from tests.server.auth.issuer import Issuer, issuer
from tests.server.auth.test_resource_server import call, modern
from tests.server.http.test_app import BEARER, ERAS, POST, TOKEN
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.observability.redaction import Redactor, SinkRedactor
from utcp_ws_mcp.records import replace
from utcp_ws_mcp.server import callers as server_callers
from utcp_ws_mcp.server.auth.caller_variables import parse_caller_variables
from utcp_ws_mcp.server.auth.options import OAuthOptions, check_oauth_options, make_resource_server
from utcp_ws_mcp.server.callers import CallerBridges, open_callers
from utcp_ws_mcp.server.http.app import run_http_server
from utcp_ws_mcp.server.http.config import HttpOptions, bind_listener
from utcp_ws_mcp.server.sdk_server import SdkServer
from utcp_ws_mcp.server.tools import ToolService

ADA, BOB = "key-of-ada", "key-of-bob"
BOTH_PATHS = pytest.mark.parametrize("fast_path", [True, False], ids=["fast path", "SDK"])


class Served:
    """A server whose callers bring a key: its URL, its bridges, and what happens in them."""

    def __init__(self, url: str, bridge: Bridge, callers: CallerBridges, sinks: SinkRedactor) -> None:
        self.url, self.bridge, self.callers, self.sinks = url, bridge, callers, sinks
        self.events: list[events.Event] = []
        self.authority: Issuer | None = None

    @asynccontextmanager
    async def http(self, key: str | None, **claims: Any) -> AsyncIterator[httpx2.AsyncClient]:
        """An HTTP client that sends a key; with an authorization server, as the subject of the claims."""
        bearer = BEARER if self.authority is None else {"Authorization": f"Bearer {self.authority.token(**claims)}"}
        headers = {**POST, **bearer, **({} if key is None else {"X-Key": key})}
        async with httpx2.AsyncClient(
            headers=headers, timeout=PATIENCE, verify=False
        ) as http:  # to load no authorities
            yield http

    async def call(self, key: str | None, name: str = "m_t", /, **arguments: Any) -> dict[str, Any]:
        """Call a tool, and return its result."""
        async with self.http(key) as http:
            answer = await http.post(self.url, json=call(name, **arguments), headers=modern("tools/call", name))
        return dict(answer.json()["result"])

    @asynccontextmanager
    async def client(self, key: str, mode: str) -> AsyncIterator[Client]:
        """The SDK's client with a key."""
        async with self.http(key) as http, Client(streamable_http_client(self.url, http_client=http), mode=mode) as one:
            yield one


@asynccontextmanager
async def served(
    folder: Path, document: Any, *, fast_path: bool = True, authority: Issuer | None = None
) -> AsyncIterator[Served]:
    """A server with `--caller-variable KEY=X-Key`, until a signal ends it."""
    variables, started = parse_caller_variables(["KEY=X-Key"]), anyio.Event()
    assert variables is not None
    file = folder / "manifest.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    loaded = load_manifest(file, {"KEY": "key-of-operator"}, callers=variables.stand_ins)
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    seen: list[events.Event] = []
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(bind_listener(HttpOptions("0", TOKEN, caller_variables=variables)))
        redact = Redactor([loaded.manifest])
        sinks = SinkRedactor(redact)
        bridge = await stack.enter_async_context(Bridge([loaded], observe=seen.append, redactor=redact))
        callers = await stack.enter_async_context(open_callers(bridge, variables, sinks, seen.append))
        assert callers is not None
        tasks = await stack.enter_async_context(anyio.create_task_group())
        guard = None
        if authority is not None:
            authority.audience = f"{listener.url}/mcp"
            settings = check_oauth_options(OAuthOptions(authority.url, authority.audience))
            listener = replace(listener, oauth=settings, access_policy=replace(listener.access_policy, token=None))
            guard = make_resource_server(settings, seen.append)
        result = Served(f"{listener.url}/mcp", bridge, callers, sinks)
        result.events, result.authority = seen, authority
        server = SdkServer(ToolService(bridge, callers=callers))
        serve = partial(run_http_server, fast_path=fast_path)
        tasks.start_soon(serve, server, listener, {}, lambda _: started.set(), guard)
        with anyio.fail_after(PATIENCE):
            await started.wait()
        try:
            yield result
        finally:
            signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


def manifest(seen: Peer, *tools: Any, **template: Any) -> dict[str, Any]:
    """A call template whose handshake has the key of the caller."""
    headers = {"X-Key": "${caller:KEY}", "X-Own": "of-operator"}
    return entry(seen, *(tools or ("t",)), **{"preset": "jsonrpc2", "headers": headers, **template})


def keys(seen: Peer) -> list[str]:
    """The keys of the connections that were opened, in order."""
    return [upgrade.headers["X-Key"] for upgrade in seen.upgrades]


async def who(seen: Peer, connection: Any, message: Any) -> None:
    """Answer with the key of the connection in parts, which is not redacted, and whole, which is."""
    key = connection.request.headers["X-Key"]
    await connection.send(
        json.dumps({"id": message["id"], "result": {"last": key[-3:], "key": key, "all": f"{ADA} {BOB}"}})
    )


def content(result: dict[str, Any]) -> Any:
    return json.loads(result["content"][0]["text"])


@BOTH_PATHS
async def test_each_caller_has_connections_of_its_own_and_uses_them_again(tmp_path: Path, fast_path: bool) -> None:
    async with peer(who) as seen, served(tmp_path, manifest(seen), fast_path=fast_path) as server:
        results = [await server.call(key) for key in (ADA, BOB, ADA, BOB)]
        assert [content(each)["last"] for each in results] == ["ada", "bob", "ada", "bob"]
        assert keys(seen) == [ADA, BOB]
        assert server.bridge.stats("m").connections == 0, "the shared bridge sends nothing"


@ERAS
async def test_a_client_of_any_version_brings_its_value(tmp_path: Path, mode: str) -> None:
    async with peer(who) as seen, served(tmp_path, manifest(seen)) as server:
        async with server.client(ADA, mode) as ada, server.client(BOB, mode) as bob:
            assert [tool.name for tool in (await ada.list_tools()).tools] == ["m_t"]
            for client, last in ((ada, "ada"), (bob, "bob"), (ada, "ada")):
                assert (await client.call_tool("m_t", {})).structured_content["last"] == last
        assert sorted(keys(seen)) == [ADA, BOB]


async def test_calls_at_once_never_get_the_connection_of_another(tmp_path: Path) -> None:
    wanted = [f"key-of-{number:03}" for number in range(4)] * 4
    got: list[str] = []

    async def one(server: Served, key: str) -> None:
        got.append(content(await server.call(key))["last"] + key[-3:])

    async with peer(who) as seen, served(tmp_path, manifest(seen)) as server:
        async with anyio.create_task_group() as tasks:
            for key in wanted:
                tasks.start_soon(one, server, key)
    assert sorted(got) == sorted(2 * key[-3:] for key in wanted)
    assert sorted(keys(seen)) == sorted({*wanted})


async def test_a_caller_sees_neither_its_own_value_nor_what_others_hide(tmp_path: Path) -> None:
    async with peer(who) as seen, served(tmp_path, manifest(seen)) as server:
        await server.call(BOB)
        result = content(await server.call(ADA))
    assert result == {"last": "ada", "key": "***", "all": f"*** {BOB}"}


@BOTH_PATHS
async def test_a_missing_value_is_an_error_of_the_call_that_names_the_header(tmp_path: Path, fast_path: bool) -> None:
    async with peer(who) as seen, served(tmp_path, manifest(seen), fast_path=fast_path) as server:
        result = await server.call(None)
        repeated = await server.call("no,value")
        assert seen.upgrades == []
    assert result["isError"]
    assert result["content"][0]["text"] == (
        "m.t was not called: the request has no header X-Key. Send it with your own value. [caller-value-missing]"
    )
    assert "the header X-Key is not usable" in repeated["content"][0]["text"]
    assert "no,value" not in repeated["content"][0]["text"]


async def test_tools_without_values_of_callers_are_shared_as_before(tmp_path: Path) -> None:
    async with peer(who) as seen:
        shared = {**manifest(seen), "name": "s", "headers": {"X-Key": "key-of-all"}}
        async with served(tmp_path, [manifest(seen), shared]) as server:
            for key in (ADA, BOB, None):
                assert content(await server.call(key, "s_t"))["last"] == "all"
    assert keys(seen) == ["key-of-all"]


async def test_the_value_of_the_operator_is_never_used_for_a_caller(tmp_path: Path) -> None:
    async with peer(who) as seen, served(tmp_path, manifest(seen)) as server:
        await server.call(None)
        await server.call(ADA)
    assert keys(seen) == [ADA]


async def test_the_same_value_of_two_subjects_is_two_connections(tmp_path: Path) -> None:
    async with issuer() as authority, peer(who) as seen:
        async with served(tmp_path, manifest(seen), authority=authority) as server:
            for subject in ("ada", "bob", "ada"):
                async with server.http("key-of-team", sub=subject) as http:
                    answer = await http.post(server.url, json=call("m_t"), headers=modern("tools/call", "m_t"))
                assert not answer.json()["result"].get("isError")
            audit = [each.subject for each in server.events if isinstance(each, events.SubjectCalled)]
    assert keys(seen) == ["key-of-team", "key-of-team"]
    assert audit == ["ada", "bob", "ada"]


FEED = {"name": "said", "match": "message.said is defined", "item": "message.said", "start": "first_use"}


async def test_the_events_of_a_feed_reach_only_the_caller_whose_connection_they_came_over(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"said": f"to {connection.request.headers['X-Key'][-3:]}"}))

    async with peer(who, greet=greet) as seen, served(tmp_path, manifest(seen, feeds=[FEED])) as server:
        for key, said in ((ADA, "to ada"), (BOB, "to bob"), (ADA, "to ada")):
            result = await server.call(key, "m_said_events", wait_seconds=10)
            assert [event["data"] for event in content(result)["events"]] == [said]
        assert keys(seen) == [ADA, BOB]
        async with server.client(ADA, "auto") as client:
            assert "utcp-ws://feeds/m/said" not in [str(each.uri) for each in (await client.list_resources()).resources]
            listed = await client.read_resource("utcp-ws://feeds")
            assert json.loads(listed.contents[0].text) == []
            with pytest.raises(Exception, match="there is no resource"):
                await client.read_resource("utcp-ws://feeds/m/said")
        assert keys(seen) == [ADA, BOB]


async def test_a_login_and_an_http_step_use_the_value_of_the_caller(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if "login" in message:
            await connection.send(json.dumps({"ok": True}))
        else:
            await connection.send(json.dumps({"id": message["id"], "result": {"n": 1}}))

    login = [{"send": {"login": "${caller:KEY}", "proof": "{{ vars.KEY | upper }}"}}, {"expect": "message.ok"}]
    async with peer(answer) as seen:
        document = {**manifest(seen), "headers": {}, "on_connect": login}
        async with served(tmp_path, document) as server:
            await server.call(ADA)
            await server.call(BOB)
    logins = [message for message in seen.received if "login" in message]
    assert logins == [{"login": key, "proof": key.upper()} for key in (ADA, BOB)]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def test_the_bridge_of_a_caller_who_does_not_call_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_callers, "SWEEP_INTERVAL", 0.01)
    monkeypatch.setattr(server_callers, "IDLE_SECONDS", 0.05)
    async with peer(who) as seen, served(tmp_path, manifest(seen)) as server:
        await server.call(ADA)
        assert server.sinks.guard(f"the key is {ADA}") == "the key is ***"
        await seen.until(lambda: len(seen.closed) == 1)
        await until(lambda: server.sinks.guard(ADA) == ADA)
        assert list(server.callers.bridges()) == []
        assert seen.closed == [(1001, "utcp-ws-mcp is shutting down")]
        assert content(await server.call(ADA))["last"] == "ada"


def holding(started: Sequence[str]) -> Callable[[Peer, Any, Any], Awaitable[None]]:
    """Answer calls of these keys only."""

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if connection.request.headers["X-Key"] in started:
            await who(seen, connection, message)

    return answer


async def test_a_further_caller_takes_the_place_of_the_one_that_was_idle_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_callers, "MAX_BRIDGES", 2)
    monkeypatch.setattr(server_callers, "MAX_BRIDGES_OF_SUBJECT", 1)  # there are no subjects here
    async with peer(who) as seen, served(tmp_path, manifest(seen)) as server:
        for key in (ADA, BOB, ADA, "key-of-eve"):
            await server.call(key)
        await seen.until(lambda: len(seen.closed) == 1)
        server.callers.retire_idle()  # they were used just now
        assert len(list(server.callers.bridges())) == 2
        await server.call(ADA)
    assert keys(seen) == [ADA, BOB, "key-of-eve"]


async def test_a_caller_whose_call_is_running_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_callers, "MAX_BRIDGES", 1)
    async with peer(holding([BOB])) as seen, served(tmp_path, manifest(seen)) as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.call, ADA)
            await seen.until(lambda: len(seen.received) == 1)
            refused = await server.call(BOB)
            tasks.cancel_scope.cancel()
    assert "[too-many-callers]" in refused["content"][0]["text"]
    assert keys(seen) == [ADA]


def answering_once(go_on: anyio.Event) -> Callable[[Peer, Any, Any], Awaitable[None]]:
    """Answer when an event is set."""

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await go_on.wait()
        await who(seen, connection, message)

    return answer


async def test_a_call_that_takes_long_ends_over_the_bridge_in_which_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_callers, "IDLE_SECONDS", 0.0)
    go_on, results = anyio.Event(), list[dict[str, Any]]()

    async def one(server: Served) -> None:
        results.append(await server.call(ADA))

    async with peer(answering_once(go_on)) as seen, served(tmp_path, manifest(seen)) as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, server)
            await seen.until(lambda: len(seen.received) == 1)
            server.callers.retire_idle()
            assert len(list(server.callers.bridges())) == 1
            server.bridge.reload([])
            assert list(server.callers.bridges()) == []
            go_on.set()
        await seen.until(lambda: len(seen.closed) == 1)
    assert [content(each)["last"] for each in results] == ["ada"]
    assert keys(seen) == [ADA]


async def test_a_page_of_an_allowed_origin_may_send_the_header(tmp_path: Path) -> None:
    async with peer(who) as seen, served(tmp_path, manifest(seen)) as server, httpx2.AsyncClient() as http:
        origin = server.url.removesuffix("/mcp")
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-key"}
        answer = await http.options(server.url, headers=asked)
        asked["Access-Control-Request-Headers"] = "x-other"
        refused = await http.options(server.url, headers=asked)
    assert (answer.status_code, refused.status_code) == (200, 400)


async def test_a_subject_with_many_values_displaces_only_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_callers, "MAX_BRIDGES_OF_SUBJECT", 2)
    async with issuer() as authority, peer(who) as seen:
        async with served(tmp_path, manifest(seen), authority=authority) as server:
            for subject, key in (("ada", ADA), *(("bob", f"key-of-bob-{number}") for number in range(5)), ("ada", ADA)):
                async with server.http(key, sub=subject) as http:
                    await http.post(server.url, json=call("m_t"), headers=modern("tools/call", "m_t"))
            assert len(list(server.callers.bridges())) == 3
    assert keys(seen).count(ADA) == 1


async def test_a_changed_manifest_ends_the_bridges_of_its_callers_and_not_those_of_others(tmp_path: Path) -> None:
    async with peer(who) as seen, served(tmp_path, [manifest(seen), {**manifest(seen), "name": "n"}]) as server:
        for name in ("m_t", "n_t"):
            await server.call(ADA, name)
        first, second = manifest(seen), {**manifest(seen), "name": "n", "headers": {"X-Key": "new-${caller:KEY}"}}
        file = tmp_path / "manifest.json"
        file.write_text(json.dumps([first, second]), encoding="utf-8")
        variables = parse_caller_variables(["KEY=X-Key"])
        assert variables is not None
        server.bridge.reload([load_manifest(file, {}, callers=variables.stand_ins)])
        await seen.until(lambda: len(seen.closed) == 1)
        for name in ("m_t", "n_t"):
            assert content(await server.call(ADA, name))["last"] == "ada"
    assert keys(seen) == [ADA, ADA, f"new-{ADA}"]


async def test_a_value_that_the_endpoint_repeats_is_in_no_error(tmp_path: Path) -> None:
    async def refuse(seen: Peer, connection: Any, message: Any) -> None:
        error = {"code": -1, "message": f"{connection.request.headers['X-Key']} is not allowed"}
        await connection.send(json.dumps({"id": message["id"], "error": error}))

    async with peer(refuse) as seen, served(tmp_path, manifest(seen)) as server:
        result = await server.call(ADA)
    assert "*** is not allowed" in result["content"][0]["text"]
    assert ADA not in json.dumps(result)


async def test_a_stream_and_its_progress_are_those_of_the_caller(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        key = connection.request.headers["X-Key"]
        for number in range(3):
            await connection.send(
                json.dumps({"id": message["id"], "result": {"n": number, "key": key, "by": key[-3:]}})
            )

    stream = {"stream": {"until": "message.result.n == 2", "include_last": True}}
    document_tool = {"name": "t", "tool_call_template": stream}
    shown: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        shown.append(message or "")

    async with peer(answer) as seen, served(tmp_path, manifest(seen, document_tool)) as server:
        async with server.client(ADA, "auto") as ada, server.client(BOB, "auto") as bob:
            for client in (ada, bob):
                await client.call_tool("m_t", {}, progress_callback=on_progress)
    assert [text.count("ada") for text in shown[:3]] == [1, 1, 1]
    assert all(ADA not in text and BOB not in text for text in shown)


async def test_without_variables_of_callers_there_are_no_bridges_of_callers() -> None:
    async with Bridge([]) as bridge, open_callers(bridge, None, SinkRedactor(Redactor()), events.noop) as callers:
        assert callers is None


async def test_a_value_that_cannot_stand_in_its_place_is_refused_without_being_shown(tmp_path: Path) -> None:
    auth = {"auth_type": "basic", "username": "${caller:KEY}", "password": "of-operator"}
    async with peer(who) as seen, served(tmp_path, manifest(seen, headers={}, auth=auth)) as server:
        result = await server.call("no:user:name")
        assert list(server.callers.bridges()) == []
    assert "the header X-Key has a value that cannot stand where it is used. [caller-value-refused]" in json.dumps(
        result
    )
    assert "user:name" not in json.dumps(result)
    assert seen.upgrades == []
