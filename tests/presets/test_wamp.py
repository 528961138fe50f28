"""The preset wamp, against a router that follows WAMP 2, basic profile and the features that the preset announces."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import bridge_to
from tests.presets.servers import Broken, Session, Strict, call_all, calling, meanwhile, refused, strict
from utcp_ws_mcp import ToolError
from utcp_ws_mcp.errors import SessionLost

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, WAMP_GOODBYE = 1, 2, 3, 4, 5, 6
ERROR, PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED, EVENT = 8, 16, 17, 32, 33, 34, 35, 36
CALL, CANCEL, RESULT = 48, 49, 50
SECRET = {"WAMP_AUTHID": "bob", "WAMP_SECRET": "s3cret", "WAMP_REALM": "realm1"}
TICKET = {"WAMP_AUTHID": "ada", "WAMP_TICKET": "t1cket"}
WATCH = {
    "name": "watch",
    "tool_call_template": {
        "message": [SUBSCRIBE, "{{ request_id }}", {}, "{{ args.topic }}"],
        "stream": {
            "match": "message[0] == 36 and message[1] == reply[2]",
            "item": "message[4][0]",
            "max_items": 2,
            "cancel": [UNSUBSCRIBE, "{{ next_id() }}", "{{ reply[2] }}"],
        },
    },
}
TELL = {
    "name": "tell",
    "tool_call_template": {
        "message": [PUBLISH, "{{ request_id }}", {"acknowledge": True}, "{{ args.topic }}", ["{{ args.value }}"]],
        "reply": {"result": "message[2]"},
    },
}
COUNT = {
    "name": "com.example.count",
    "tool_call_template": {
        "message": [CALL, "{{ request_id }}", {"receive_progress": True}, "{{ tool }}", [], "{{ args }}"],
        "stream": {"max_items": 3},
    },
}


class Router(Session):
    """A router with its procedures. `hold`, how many results it collects and then sends in reverse."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.joined = False
        self.hello: Any = None
        self.last_id = 0
        self.topics: dict[int, str] = {}
        self.running: set[int] = set()
        self.subscribes = 0
        self.held: list[Any] = []

    async def take(self, message: Any) -> None:
        if not isinstance(message, list) or not message:
            raise Broken(f"no WAMP message: {message!r}")
        kind, *rest = message
        if not self.joined:
            await self.join(kind, rest)
            return
        if kind == WAMP_GOODBYE:
            self.joined = False
            await self.send([WAMP_GOODBYE, {}, "wamp.close.goodbye_and_out"])
            return
        if kind in (PUBLISH, SUBSCRIBE, UNSUBSCRIBE, CALL):
            if rest[0] != self.last_id + 1:
                raise Broken(f"the id {rest[0]} follows {self.last_id}")
            self.last_id = rest[0]
        if kind in (CALL, CANCEL):
            await self.deal(kind, rest)
        else:
            await self.broker(kind, rest)

    async def deal(self, kind: int, rest: list[Any]) -> None:
        match kind, rest:
            case 48, [number, dict() as options, str() as procedure, *payload]:
                await self.call(number, options, procedure, *payload)
            case 49, [number, {"mode": "skip" | "kill" | "killnowait"}]:
                if number not in self.running:
                    raise Broken("CANCEL of nothing")
                self.running.remove(number)
                await self.send([ERROR, CALL, number, {}, "wamp.error.canceled"])
            case _:
                raise Broken(f"it cannot be said now: {kind} {rest}")

    async def broker(self, kind: int, rest: list[Any]) -> None:
        match kind, rest:
            case 32, [number, dict(), str() as topic]:
                # As a router does: a session has one subscription to a topic (WAMP 2, 5.4.1).
                known = [subscription for subscription, subscribed in self.topics.items() if subscribed == topic]
                subscription = known[0] if known else 1000 + number
                self.topics[subscription] = topic
                self.subscribes += 1
                await self.send([SUBSCRIBED, number, subscription])
            case 34, [number, subscription]:
                if self.topics.pop(subscription, None) is None:
                    raise Broken("UNSUBSCRIBE of nothing")
                await self.send([UNSUBSCRIBED, number])
            case 16, [number, dict() as options, str() as topic, list() as values]:
                for subscription, subscribed in self.topics.items():
                    if subscribed == topic:
                        await self.send([EVENT, subscription, 77, {}, values])
                if options.get("acknowledge"):
                    await self.send([PUBLISHED, number, 77])
            case _:
                raise Broken(f"it cannot be said now: {kind} {rest}")

    async def join(self, kind: int, rest: list[Any]) -> None:
        if kind == HELLO and self.hello is None:
            realm, self.hello = rest
            if not self.hello["roles"]:
                raise Broken("HELLO without roles")
            if realm != "realm1":
                await self.send([ABORT, {"message": "no such realm"}, "wamp.error.no_such_realm"])
            elif "authid" not in self.hello:
                await self.welcome()
            elif self.hello["authmethods"] == ["wampcra"]:
                await self.send([CHALLENGE, "wampcra", {"challenge": json.dumps({"nonce": "LHRTC9zeOIrt_9U3"})}])
            else:
                await self.send([CHALLENGE, "ticket", {}])
        elif kind == AUTHENTICATE and self.hello and "authid" in self.hello:
            challenge = json.dumps({"nonce": "LHRTC9zeOIrt_9U3"}).encode()
            signature = base64.b64encode(hmac.digest(b"s3cret", challenge, hashlib.sha256)).decode()
            if rest == [{"bob": signature, "ada": "t1cket"}[self.hello["authid"]], {}]:
                await self.welcome()
            else:
                await self.send([ABORT, {"message": "wrong signature or ticket"}, "wamp.error.not_authorized"])
        else:
            raise Broken(f"{kind} before WELCOME")

    async def welcome(self) -> None:
        self.joined = True
        await self.send([WELCOME, 9129137332, {"roles": {"broker": {}, "dealer": {}}}])

    async def call(self, number: int, options: Any, procedure: str, args: Any = (), kwargs: Any = None) -> None:
        if isinstance(args, tuple) or not isinstance(kwargs or {}, dict):
            raise Broken("a call without list and dict")
        results: dict[str, list[Any]] = {"named": [[], {"x": 1.5}], "both": [[1, 2], {"x": 3}], "nothing": []}
        if (name := procedure.removeprefix("com.example.")) in results:
            await self.result([RESULT, number, {}, *results[name]])
            return
        match procedure:
            case "com.example.add":
                await self.result([RESULT, number, {}, [kwargs["a"] + kwargs["b"]]])
            case "com.example.count" if options.get("receive_progress"):
                self.running.add(number)
                for step in range(kwargs["n"]):
                    await self.send([RESULT, number, {"progress": True}, [step]])
                if kwargs["n"] < 3:
                    self.running.remove(number)
                    await self.send([RESULT, number, {}, ["all"]])
            case "com.example.long":
                self.running.add(number)
            case "com.example.full":
                await self.send([ERROR, CALL, number, {}, "com.example.error", ["disk full"], {"free": 0}])
            case _:
                await self.send([ERROR, CALL, number, {}, "wamp.error.no_such_procedure", [procedure]])

    async def result(self, message: Any) -> None:
        self.held.append(message)
        if len(self.held) >= self.server.settings.get("hold", 1):
            await self.send(*reversed(self.held))
            self.held.clear()


def router(**settings: Any) -> Any:
    return strict(Router, subprotocols=["wamp.2.json"], **settings)


def manifest(server: Strict) -> dict[str, Any]:
    names = ["add", "named", "both", "nothing", "nope", "long", "full"]
    tools = [*({"name": f"com.example.{name}"} for name in names), WATCH, TELL, COUNT]
    return {"name": "m", "url": server.peer.url, "preset": "wamp", "tools": tools}


@pytest.mark.parametrize(
    ("procedure", "arguments", "result"),
    [
        ("add", {"a": 20, "b": 22}, 42),
        ("named", {}, {"x": 1.5}),
        ("both", {}, {"args": [1, 2], "kwargs": {"x": 3}}),
        ("nothing", {}, None),
    ],
)
async def test_a_result_is_as_simple_as_it_came(
    tmp_path: Path, procedure: str, arguments: dict[str, Any], result: Any
) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server)) as bridge:
        assert await bridge.call_tool(f"m.com.example.{procedure}", arguments) == result


@pytest.mark.parametrize("environ", [{}, SECRET, TICKET], ids=["anonymous", "challenge", "ticket"])
async def test_each_way_to_log_in_works(tmp_path: Path, environ: dict[str, str]) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server), environ=environ) as bridge:
        assert await bridge.call_tool("m.com.example.add", {"a": 1, "b": 2}) == 3


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({**SECRET, "WAMP_SECRET": "wrong"}, "wrong signature or ticket"),
        ({**TICKET, "WAMP_TICKET": "wrong"}, "wrong signature or ticket"),
        ({"WAMP_REALM": "other"}, "no such realm"),
    ],
    ids=["a wrong secret", "a wrong ticket", "another realm"],
)
async def test_a_login_that_is_refused_says_why(tmp_path: Path, environ: dict[str, str], why: str) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server), environ=environ) as bridge:
        assert why in await refused(bridge, "m.com.example.add", {"a": 1, "b": 2})


async def test_a_secret_is_never_sent_as_a_ticket(tmp_path: Path) -> None:
    both = {**SECRET, "WAMP_TICKET": "s3cret"}
    async with router() as server, bridge_to(tmp_path, manifest(server), environ=both) as bridge:
        await bridge.call_tool("m.com.example.nothing")
        assert server.session.hello["authmethods"] == ["wampcra"]
        assert "s3cret" not in json.dumps(server.peer.received)


async def test_results_in_reverse_reach_their_own_calls(tmp_path: Path) -> None:
    async with router(hold=8) as server, bridge_to(tmp_path, manifest(server)) as bridge:
        calls = [("m.com.example.add", {"a": number, "b": 100}) for number in range(8)]
        assert await call_all(bridge, calls) == [100 + number for number in range(8)]
        assert len(server.sessions) == 1


async def test_an_error_names_its_uri_and_arguments(tmp_path: Path) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server)) as bridge:
        with pytest.raises(
            ToolError, match=r"^the endpoint said: wamp\.error\.no_such_procedure: com\.example\.nope \[tool-error\]$"
        ):
            await bridge.call_tool("m.com.example.nope")


async def test_an_error_has_its_keyword_arguments(tmp_path: Path) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server)) as bridge:
        with pytest.raises(ToolError, match=r'said: com\.example\.error: disk full \{"free": ?0\} \[tool-error\]$'):
            await bridge.call_tool("m.com.example.full")


async def test_a_call_that_is_cancelled_is_cancelled_at_the_router(tmp_path: Path) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server)) as bridge:
        async with calling(bridge, "m.com.example.long"):
            await server.until(lambda: bool(server.sessions and server.session.running))
        await server.until(lambda: not server.session.running)
        assert await bridge.call_tool("m.com.example.add", {"a": 1, "b": 2}) == 3


async def test_watchers_of_a_topic_share_its_subscription_until_the_last_has_ended(tmp_path: Path) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server)) as bridge:
        async with calling(bridge, "m.watch", {"topic": "a"}):
            await server.until(lambda: bool(server.sessions and server.session.subscribes == 1))
            async with calling(bridge, "m.watch", {"topic": "a"}):
                await server.until(lambda: server.session.subscribes == 2)
            await bridge.call_tool("m.com.example.nothing")
            assert set(server.session.topics.values()) == {"a"}
        await server.until(lambda: not server.session.topics)
        assert len(server.sessions) == 1


async def test_a_session_that_the_router_ends_fails_its_calls_with_the_reason(tmp_path: Path) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server)) as bridge:

        async def end() -> None:
            await server.until(lambda: bool(server.sessions and server.session.running))
            await server.session.send([WAMP_GOODBYE, {"message": "restart"}, "wamp.close.system_shutdown"])

        with pytest.raises(ExceptionGroup) as failed:
            async with meanwhile(end):
                await bridge.call_tool("m.com.example.long")
        assert failed.group_contains(SessionLost, match=r"wamp\.close\.system_shutdown: restart")


async def test_progressive_results_end_with_the_final_one(tmp_path: Path) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server)) as bridge:
        counted = await bridge.call_tool("m.com.example.count", {"n": 2})
        assert counted.value == {"items": [0, 1, "all"], "end": "until", "complete": True}


async def test_a_progressive_call_is_cancelled_at_its_limit(tmp_path: Path) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server)) as bridge:
        counted = await bridge.call_tool("m.com.example.count", {"n": 5})
        assert counted.value == {"items": [0, 1, 2], "end": "max_items", "complete": False}
        await server.until(lambda: not server.session.running)
        assert await bridge.call_tool("m.com.example.add", {"a": 1, "b": 2}) == 3


async def test_a_subscription_ends_with_unsubscribe_at_its_limit(tmp_path: Path) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server)) as bridge:

        async def publish() -> None:
            await server.until(lambda: bool(server.sessions and server.session.topics))
            for topic, value in (("a", 1), ("b", 2), ("a", 3)):
                assert await bridge.call_tool("m.tell", {"topic": topic, "value": value}) == 77

        async with meanwhile(publish):
            watched = await bridge.call_tool("m.watch", {"topic": "a"})
        assert watched.value == {"items": [1, 3], "end": "max_items", "complete": False}
        await server.until(lambda: not server.session.topics)
        assert len(server.sessions) == 1


async def test_a_subscription_ends_with_unsubscribe_when_it_is_cancelled(tmp_path: Path) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server)) as bridge:
        async with calling(bridge, "m.watch", {"topic": "a"}):
            await server.until(lambda: bool(server.sessions and server.session.topics))
            await bridge.call_tool("m.com.example.nothing")
        await server.until(lambda: not server.session.topics)


async def test_a_lost_connection_is_replaced_and_joined_again(tmp_path: Path) -> None:
    async with router() as server, bridge_to(tmp_path, manifest(server), environ=SECRET) as bridge:
        for _ in range(3):
            for number in range(2):
                assert await bridge.call_tool("m.com.example.add", {"a": 1, "b": number}) == number + 1
            await server.cut()
        assert [session.last_id for session in server.sessions] == [2, 2, 2]
