"""The preset webdriver-bidi against an endpoint that follows the W3C's WebDriver BiDi."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.client.test_oauth import token_endpoint
from tests.peer import bridge_to, entry
from utcp_ws_mcp.errors import ConnectError, SessionLost, ToolError

from .sides import TOGETHER, Broken, Side, Stage, call_together, cancel_after_an_item, cut, say, stage, watch_during

NEW = {"id": 1, "method": "session.new", "params": {"capabilities": {}}}
TREE = {"id": 2, "method": "browsingContext.getTree", "params": {}}


class Browser(Side):
    """https://w3c.github.io/webdriver-bidi/"""

    most = 1

    async def greet(self) -> None:
        path = self.connection.request.path
        self.session = path.removeprefix("/session/") if path.startswith("/session/") else None
        self.subscriptions: dict[str, list[str]] = {}
        self.ids: set[int] = set()

    async def take(self, message: Any) -> None:
        if not isinstance(message, dict) or message.keys() != {"id", "method", "params"}:
            await self.fail(None, "invalid argument", "not a command")
            return
        own, method, params = message["id"], message["method"], message["params"]
        if not isinstance(own, int) or isinstance(own, bool) or own < 0 or not isinstance(params, dict):
            await self.fail(None, "invalid argument", "not a command")
        elif own in self.ids:
            raise Broken(1002, "id")
        elif method == "session.new":
            await self.open_session(own)
        elif method == "session.end":
            self.session = None
            await self.succeed(own, {})
        elif self.session is None:
            await self.fail(own, "invalid session id", "no session")
        else:
            await self.obey(own, method, params)
        self.ids.add(own)

    async def open_session(self, own: int) -> None:
        alive = [side for side in self.stage.sides if side.session and side.connection in self.stage.seen.open]
        if len(alive) >= self.most:
            await self.fail(own, "session not created", "Maximum number of active sessions")
        else:
            self.session = f"session-{len(self.stage.sides)}"
            await self.succeed(own, {"sessionId": self.session, "capabilities": {}})

    async def obey(self, own: int, method: str, params: Any) -> None:
        match method:
            case "browsingContext.getTree":
                await self.succeed(own, {"contexts": []})
            case "session.subscribe" if params.keys() <= {"events", "contexts"}:
                subscription = f"subscription-{own}"
                self.subscriptions[subscription] = params["events"]
                await self.succeed(own, {"subscription": subscription})
                await self.tell()
            case "session.unsubscribe" if params.keys() <= {"subscriptions"}:
                for subscription in params["subscriptions"]:
                    del self.subscriptions[subscription]
                await self.succeed(own, {})
            case "script.evaluate" if params["expression"] == "throw":
                details = {"text": "Error: thrown"}
                await self.succeed(own, {"type": "exception", "exceptionDetails": details, "realm": "r"})
            case "script.evaluate" if params["expression"] == "log":
                await self.succeed(own, {"type": "success"})
                await self.tell()
            case "script.evaluate":
                for each, asked in self.all_together((own, params)):
                    await self.tell()
                    await self.succeed(each, {"type": "success", "result": asked["expression"]})
            case "browsingContext.navigate":
                await self.fail(own, "invalid argument", "url is no URL")
            case _:
                await self.fail(own, "unknown command", method)

    async def succeed(self, own: int, result: Any) -> None:
        await self.send({"type": "success", "id": own, "result": result})

    async def fail(self, own: int | None, error: str, message: str) -> None:
        await self.send({"type": "error", "id": own, "error": error, "message": message})

    async def tell(self) -> None:
        """An event of each kind that is subscribed to."""
        for names in self.subscriptions.values():
            for name in names:
                method = name if "." in name else f"{name}.entryAdded"
                await self.send({"type": "event", "method": method, "params": {}})


EVENTS = {"name": "session.subscribe", "tool_call_template": {"stream": {"max_items": 2}}}
TOOLS = ("browsingContext.getTree", "browsingContext.navigate", "script.evaluate", "nonsense", EVENTS)


def browser(tmp_path: Path, on: Stage, **template: Any) -> Any:
    return bridge_to(tmp_path, entry(on.seen, *TOOLS, preset="webdriver-bidi", **template))


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([TREE], "invalid session id"),
        ([NEW, {**NEW, "id": 2}], "session not created"),
        ([NEW, {**TREE, "extra": 1}], "invalid argument"),
        ([NEW, {**TREE, "id": "2"}], "invalid argument"),
        ([NEW, {**TREE, "method": "nonsense"}], "unknown command"),
    ],
)
async def test_the_endpoint_refuses_what_the_protocol_forbids(messages: list[Any], error: str) -> None:
    async with stage(Browser, silence=0.2) as on:
        answers, _ = await say(on, *messages)
    assert answers[-1]["error"] == error


async def test_a_command_runs_in_a_session_of_its_own(tmp_path: Path) -> None:
    async with stage(Browser) as on, browser(tmp_path, on) as bridge:
        assert await bridge.call_tool("m.browsingContext.getTree") == {"contexts": []}
    assert on.seen.received == [NEW, TREE, {"id": 3, "method": "session.end", "params": {}}]


async def test_a_browser_in_use_is_reported(tmp_path: Path) -> None:
    class Taken(Browser):
        most = 0

    async with stage(Taken) as on, browser(tmp_path, on) as bridge:
        with pytest.raises(
            ConnectError, match="the server rejected the login; the endpoint said: .*Maximum number of active sessions"
        ):
            await bridge.call_tool("m.browsingContext.getTree")


async def test_a_session_that_http_has_made_is_used(tmp_path: Path) -> None:
    before = {
        "http": {"method": "POST", "json": {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": []}}}}},
        "capture": {"id": "body.value.sessionId"},
    }
    async with stage(Browser) as on, token_endpoint(lambda number: (200, {"value": {"sessionId": "abc"}})) as http:
        before["http"]["url"] = http.url
        template = entry(on.seen, *TOOLS, preset="webdriver-bidi", on_connect=[], before_connect=[before])
        template["url"] += "session/{{ session.id }}"
        async with bridge_to(tmp_path, template) as bridge:
            for root in ("a", "b"):
                assert await bridge.call_tool("m.browsingContext.getTree", {"root": root}) == {"contexts": []}
    assert [message["id"] for message in on.seen.received] == [1, 2]
    assert len(on.sides) == 1


async def test_commands_at_once_each_get_their_own_result_between_events(tmp_path: Path) -> None:
    async with stage(Browser) as on, browser(tmp_path, on) as bridge:
        await bridge.call_tool("m.browsingContext.getTree")
        on.sides[0].subscriptions["noise"] = ["log", "network.responseCompleted"]
        results = await call_together(bridge, "m.script.evaluate", lambda n: {"expression": str(n)})
    assert [result["result"] for result in results] == [str(number) for number in range(TOGETHER)]
    assert len(on.sides) == 1
    assert not on.broken


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("nonsense", {}, r"^the endpoint said: unknown command: nonsense \[tool-error\]$"),
        (
            "browsingContext.navigate",
            {"url": "no"},
            r"^the endpoint said: invalid argument: url is no URL \[tool-error\]$",
        ),
        ("script.evaluate", {"expression": "throw"}, r"^the endpoint said: Error: thrown \[tool-error\]$"),
    ],
)
async def test_an_error_reply_has_the_message_of_the_browser(
    tmp_path: Path, tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    async with stage(Browser) as on, browser(tmp_path, on) as bridge:
        with pytest.raises(ToolError, match=sentence):
            await bridge.call_tool(f"m.{tool}", arguments)


@pytest.mark.parametrize("events", [["log.entryAdded"], ["log"]])
async def test_a_subscription_gives_only_its_events_and_is_cancelled(tmp_path: Path, events: list[str]) -> None:
    async with stage(Browser) as on, browser(tmp_path, on) as bridge:
        await bridge.call_tool("m.browsingContext.getTree")
        on.sides[0].subscriptions["noise"] = ["network.responseCompleted"]

        async def log() -> None:
            await bridge.call_tool("m.script.evaluate", {"expression": "log"})

        result = await watch_during(bridge, "m.session.subscribe", {"events": events}, log)
        assert [item["method"] for item in result.items] == ["log.entryAdded"] * 2
        await on.seen.until(lambda: on.seen.received[-1]["method"] == "session.unsubscribe")
        await bridge.call_tool("m.browsingContext.getTree")
        assert on.sides[0].subscriptions.keys() == {"noise"}
    assert not on.broken


async def test_a_cancelled_call_cancels_its_subscription(tmp_path: Path) -> None:
    async with stage(Browser) as on, browser(tmp_path, on) as bridge:
        await cancel_after_an_item(bridge, "m.session.subscribe", {"events": ["log"]})
        await on.seen.until(lambda: len(on.seen.received) == 3)
    unsubscribe = {"id": 3, "method": "session.unsubscribe", "params": {"subscriptions": ["subscription-2"]}}
    assert on.seen.received[2] == unsubscribe


async def test_a_new_connection_makes_a_new_session(tmp_path: Path) -> None:
    async with stage(Browser) as on, browser(tmp_path, on) as bridge:
        await bridge.call_tool("m.browsingContext.getTree")
        await cut(on)
        with pytest.raises(SessionLost, match="Call again to use the new session"):
            await bridge.call_tool("m.browsingContext.getTree")
        await bridge.call_tool("m.browsingContext.getTree")
        assert on.seen.received == [NEW, TREE] * 2
