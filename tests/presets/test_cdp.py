"""The preset cdp against an endpoint that follows the DevTools protocol with flat sessions."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.client.test_oauth import token_endpoint
from tests.peer import bridge_to, entry
from utcp_ws_mcp.errors import ConnectError, SessionLost, ToolError

from .sides import TOGETHER, Broken, Side, Stage, call_together, cancel_after_an_item, check, cut, say, stage

PICTURE = b"\x89PNG\r\n\x1a\npicture"
IN_PAGE = {"Page", "Runtime", "Network", "Inspector"}
LOGIN = ["Target.getTargets", "Target.attachToTarget", "Inspector.enable", "Page.enable"]


class Chrome(Side):
    """https://chromedevtools.github.io/devtools-protocol/"""

    pages = True

    async def greet(self) -> None:
        self.ids: set[int] = set()
        self.targets = ["page-1"] if self.pages else []
        self.sessions: set[str] = set()
        self.enabled: set[str] = set()
        if "Origin" in self.connection.request.headers:
            raise Broken(4403, "Origin")

    async def take(self, message: Any) -> None:
        check(message, {"id", "method"}, {"params", "sessionId"})
        own, method, params = message["id"], message["method"], message.get("params", {})
        if not isinstance(own, int) or isinstance(own, bool) or (own and own in self.ids):
            raise Broken(1002, "id")
        self.ids.add(own)
        domain, session = method.split(".")[0], message.get("sessionId")
        if session is not None and session not in self.sessions:
            await self.fail(message, -32001, "Session with given id not found.")
        elif (domain in IN_PAGE) != (session is not None):
            await self.fail(message, -32601, f"'{method}' wasn't found")
        else:
            await self.obey(message, method, params)

    async def obey(self, message: Any, method: str, params: Any) -> None:
        domain, command = method.split(".")
        if domain == "Target":
            await self.obey_browser(message, command, params)
        elif command in ("enable", "disable"):
            await self.switch(message, domain, on=command == "enable")
        elif domain == "Runtime":
            await self.evaluate(message, params["expression"])
        else:
            await self.obey_page(message, command, params)

    async def obey_browser(self, message: Any, command: str, params: Any) -> None:
        match command:
            case "getTargets":
                worker = {"targetId": "worker-1", "type": "service_worker"}
                infos = [{"targetId": target, "type": "page"} for target in self.targets]
                await self.succeed(message, targetInfos=[worker, *infos])
            case "createTarget":
                self.targets.append("page-new")
                await self.succeed(message, targetId="page-new")
            case "attachToTarget" if params["targetId"] in self.targets and params["flatten"]:
                self.sessions.add("session-1")
                await self.send({"method": "Target.attachedToTarget", "params": {"sessionId": "session-1"}})
                await self.succeed(message, sessionId="session-1")

    async def switch(self, message: Any, domain: str, *, on: bool) -> None:
        (self.enabled.add if on else self.enabled.remove)(domain)
        if on and domain == "Runtime":
            await self.tell("Runtime.consoleAPICalled", text="before")
        await self.succeed(message)
        if on and domain == "Runtime":
            await self.tell("Runtime.consoleAPICalled", text="after")

    async def evaluate(self, message: Any, expression: str) -> None:
        if expression in ("alert", "confirm", "beforeunload"):
            await self.tell("Page.javascriptDialogOpening", type=expression, message="sure?")
        if expression in THROWN:
            await self.succeed(message, result={}, exceptionDetails=THROWN[expression][0])
            return
        if not expression.startswith("together"):
            await self.succeed(message, value=1)
            return
        for each in self.all_together(message):
            await self.tell("Network.dataReceived")
            await self.succeed(each, value=each["params"]["expression"])

    async def obey_page(self, message: Any, command: str, params: Any) -> None:
        match command:
            case "navigate" if "nowhere" in params["url"]:
                await self.succeed(message, frameId="frame-1", errorText="net::ERR_NAME_NOT_RESOLVED")
            case "navigate" if "file.zip" in params["url"]:
                await self.succeed(message, frameId="frame-1", errorText="net::ERR_ABORTED", isDownload=True)
                await self.tell("Page.loadEventFired")
            case "navigate":
                await self.tell("Page.frameNavigated")
                await self.succeed(message, frameId="frame-1")
                await self.tell("Page.loadEventFired")
            case "captureScreenshot":
                await self.succeed(message, data=base64.b64encode(PICTURE).decode())
            case "handleJavaScriptDialog":
                self.dialog = params["accept"]
                await self.succeed(message)
            case _:
                await self.fail(message, -32602, "Invalid parameters")

    async def succeed(self, message: Any, **result: Any) -> None:
        session = {"sessionId": message["sessionId"]} if "sessionId" in message else {}
        await self.send({"id": message["id"], "result": result, **session})

    async def fail(self, message: Any, code: int, text: str) -> None:
        await self.send({"id": message["id"], "error": {"code": code, "message": text}})

    async def tell(self, method: str, **params: Any) -> None:
        await self.send({"method": method, "params": params, "sessionId": "session-1"})


class Crashing(Chrome):
    """Its page crashes when it evaluates "crash", and is listed, but answers nothing, until it is closed."""

    async def greet(self) -> None:
        await super().greet()
        self.attached: dict[str, str] = {}
        self.targets = ["page-1", *(["page-new"] if "page-new" in self.stage.made else [])]
        self.targets = [target for target in self.targets if target not in self.stage.closed]

    async def obey_browser(self, message: Any, command: str, params: Any) -> None:
        match command:
            case "attachToTarget":
                session = f"session-{params['targetId']}"
                self.sessions.add(session)
                await self.succeed(message, sessionId=session)
            case "closeTarget":
                self.stage.closed.append(params["targetId"])
                await self.succeed(message, success=True)
            case _:
                if command == "createTarget":
                    self.stage.made.append("page-new")
                await super().obey_browser(message, command, params)

    async def obey(self, message: Any, method: str, params: Any) -> None:
        session = message.get("sessionId", "")
        if session and session.removeprefix("session-") in self.stage.crashed:
            if method == "Inspector.enable":
                await self.send({"method": "Inspector.targetCrashed", "params": {}, "sessionId": session})
                await self.succeed(message)
            return
        await super().obey(message, method, params)

    async def evaluate(self, message: Any, expression: str) -> None:
        if expression == "hang":
            return
        if expression == "crash":
            self.stage.crashed.append(message["sessionId"].removeprefix("session-"))
            await self.send({"method": "Inspector.targetCrashed", "params": {}, "sessionId": message["sessionId"]})
            return
        await super().evaluate(message, expression)


class Empty(Chrome):
    pages = False


THROWN: dict[str, tuple[Any, str]] = {
    "an error": (
        {"text": "Uncaught", "exception": {"type": "object", "description": "TypeError: x is not a function\n at 1:1"}},
        "TypeError: x is not a function",
    ),
    "a value": ({"text": "Uncaught", "exception": {"type": "string", "value": "no"}}, "Uncaught: no"),
    "nothing more": ({"text": "SyntaxError"}, "SyntaxError"),
}
MESSAGE = {"id": "{{ request_id }}", "sessionId": "{{ session.session_id }}"}
NAVIGATE = {
    "name": "Page.navigate",
    "tool_call_template": {
        "stream": {
            "match": "message.method == 'Page.loadEventFired'",
            "until": "message.method is defined",
            "include_last": True,
            "item": "reply.result",
            "collect": "last",
        }
    },
}
SCREENSHOT = {
    "name": "Page.captureScreenshot",
    "tool_call_template": {"reply": {"result": "message.result.data | unbase64"}},
}
CONSOLE = {
    "name": "console",
    "tool_call_template": {
        "message": {**MESSAGE, "method": "Runtime.enable"},
        "stream": {
            "match": "message.method == 'Runtime.consoleAPICalled'",
            "item": "message.params.text",
            "max_items": 2,
            "cancel": {**MESSAGE, "id": "{{ next_id() }}", "method": "Runtime.disable"},
        },
    },
}
TARGETS = {
    "name": "targets",
    "tool_call_template": {"message": {"id": "{{ request_id }}", "method": "Target.getTargets"}},
}
TOOLS = ("Runtime.evaluate", "Page.nonsense", NAVIGATE, SCREENSHOT, CONSOLE, TARGETS)


def browser(tmp_path: Path, on: Stage, **template: Any) -> Any:
    return bridge_to(tmp_path, entry(on.seen, *TOOLS, preset="cdp", **template))


def methods(on: Stage) -> list[str]:
    return [message["method"] for message in on.seen.received]


@pytest.mark.parametrize(
    "messages",
    [
        [{"id": "1", "method": "Target.getTargets"}],
        [{"id": 1, "method": "Target.getTargets", "jsonrpc": "2.0"}],
        [{"id": 1, "method": "Target.getTargets"}, {"id": 1, "method": "Target.getTargets"}],
    ],
)
async def test_the_endpoint_refuses_what_the_protocol_forbids(messages: list[Any]) -> None:
    async with stage(Chrome) as on:
        assert (await say(on, *messages))[1] == 1002


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"id": 1, "method": "Page.enable"}, -32601),
        ({"id": 1, "method": "Page.enable", "sessionId": "other"}, -32001),
    ],
)
async def test_the_endpoint_wants_a_session_for_commands_to_a_page(message: Any, code: int) -> None:
    async with stage(Chrome, silence=0.2) as on:
        answers, _ = await say(on, message)
    assert answers[0]["error"]["code"] == code


async def test_a_command_goes_to_the_first_page(tmp_path: Path) -> None:
    async with stage(Chrome) as on, browser(tmp_path, on) as bridge:
        assert await bridge.call_tool("m.Runtime.evaluate", {"expression": "x"}) == {"value": 1}
        pages = await bridge.call_tool("m.targets")
    assert [target["type"] for target in pages["targetInfos"]] == ["service_worker", "page"]
    assert methods(on)[:5] == [*LOGIN, "Runtime.evaluate"]
    assert on.seen.received[1]["params"] == {"targetId": "page-1", "flatten": True}
    assert on.seen.received[4]["sessionId"] == "session-1"
    assert not on.broken


async def test_where_no_page_is_open_one_is_opened(tmp_path: Path) -> None:
    async with stage(Empty) as on, browser(tmp_path, on) as bridge:
        await bridge.call_tool("m.Runtime.evaluate", {"expression": "x"})
    assert on.seen.received[2]["params"] == {"targetId": "page-new", "flatten": True}
    assert not on.broken


async def test_a_browser_that_rejects_attaching_is_reported(tmp_path: Path) -> None:
    class Closed(Chrome):
        async def obey(self, message: Any, method: str, params: Any) -> None:
            await self.fail(message, -32000, "Not allowed")

    async with stage(Closed) as on, browser(tmp_path, on) as bridge:
        with pytest.raises(
            ConnectError, match=r"on_connect\[1\]: the server rejected the login; the endpoint said: .*Not allowed"
        ):
            await bridge.call_tool("m.Page.navigate", {"url": "x"})


async def test_the_address_of_the_browser_is_requested_once_for_all_tools(tmp_path: Path) -> None:
    async with stage(Chrome) as on:
        answer = {"webSocketDebuggerUrl": f"{on.seen.url}devtools/browser/some-uuid"}
        async with token_endpoint(lambda number: (200, answer)) as http:
            before = [
                {"http": {"url": http.url}, "capture": {"browser": "body.webSocketDebuggerUrl.split('/') | last"}}
            ]
            template = entry(on.seen, *TOOLS, preset="cdp", before_connect=before)
            template["url"] += "devtools/browser/{{ session.browser }}"
            async with bridge_to(tmp_path, template) as bridge:
                for expression in ("x", "y"):
                    await bridge.call_tool("m.Runtime.evaluate", {"expression": expression})
                await bridge.call_tool("m.Page.captureScreenshot")
                await cut(on)
                await bridge.call_tool("m.targets")
            assert len(http.requests) == 2
    assert [upgrade.path for upgrade in on.seen.upgrades] == ["/devtools/browser/some-uuid"] * 2


async def test_commands_at_once_each_get_their_own_result_between_events(tmp_path: Path) -> None:
    async with stage(Chrome) as on, browser(tmp_path, on) as bridge:
        results = await call_together(bridge, "m.Runtime.evaluate", lambda n: {"expression": f"together {n}"})
    assert results == [{"value": f"together {number}"} for number in range(TOGETHER)]
    assert len(on.sides) == 1
    assert not on.broken


async def test_an_error_reply_has_the_message_of_the_browser(tmp_path: Path) -> None:
    async with stage(Chrome) as on, browser(tmp_path, on) as bridge:
        with pytest.raises(ToolError, match=r"^the endpoint said: Invalid parameters \(-32602\) \[tool-error\]$"):
            await bridge.call_tool("m.Page.nonsense")


async def test_a_picture_comes_as_bytes(tmp_path: Path) -> None:
    async with stage(Chrome) as on, browser(tmp_path, on) as bridge:
        assert await bridge.call_tool("m.Page.captureScreenshot") == PICTURE


async def test_navigating_waits_for_the_load_event(tmp_path: Path) -> None:
    async with stage(Chrome) as on, browser(tmp_path, on) as bridge:
        result = await bridge.call_tool("m.Page.navigate", {"url": "https://example.com/"})
    assert result.value == {"item": {"frameId": "frame-1"}, "end": "until", "complete": True}


@pytest.mark.parametrize("by", ["a limit", "a cancel"])
async def test_events_that_were_enabled_are_disabled_again(tmp_path: Path, by: str) -> None:
    async with stage(Chrome) as on, browser(tmp_path, on) as bridge:
        if by == "a limit":
            assert (await bridge.call_tool("m.console")).items == ("before", "after")
        else:
            await cancel_after_an_item(bridge, "m.console", {})
        await on.seen.until(lambda: methods(on)[-1] == "Runtime.disable")
        await bridge.call_tool("m.Runtime.evaluate", {"expression": "x"})
        assert on.sides[0].enabled == {"Page", "Inspector"}
    assert not on.broken


@pytest.mark.parametrize(("kind", "accepted"), [("alert", False), ("confirm", False), ("beforeunload", True)])
async def test_a_dialog_does_not_stop_the_page(tmp_path: Path, kind: str, accepted: bool) -> None:
    async with stage(Chrome) as on, browser(tmp_path, on) as bridge:
        await bridge.call_tool("m.Runtime.evaluate", {"expression": kind})
        await on.seen.until(lambda: methods(on)[-1] == "Page.handleJavaScriptDialog")
        await bridge.call_tool("m.targets")
        assert on.sides[0].dialog is accepted
    assert not on.broken


async def test_a_new_connection_attaches_again(tmp_path: Path) -> None:
    async with stage(Chrome) as on, browser(tmp_path, on) as bridge:
        for _ in range(2):
            await bridge.call_tool("m.targets")
            await cut(on)
    assert methods(on) == [*LOGIN, "Target.getTargets"] * 2


async def test_after_its_page_was_closed_the_next_call_attaches_to_another(tmp_path: Path) -> None:
    async with stage(Chrome) as on, browser(tmp_path, on) as bridge:
        await bridge.call_tool("m.Runtime.evaluate", {"expression": "1"})
        on.sides[0].sessions.clear()
        with pytest.raises(ToolError, match="Session with given id not found"):
            await bridge.call_tool("m.Runtime.evaluate", {"expression": "1"})
        assert await bridge.call_tool("m.Runtime.evaluate", {"expression": "1"}) == {"value": 1}
    assert len(on.sides) == 2


@pytest.mark.parametrize("thrown", THROWN)
async def test_a_script_that_throws_is_an_error(tmp_path: Path, thrown: str) -> None:
    async with stage(Chrome) as on, browser(tmp_path, on) as bridge:
        with pytest.raises(ToolError, match=f"^the endpoint said: {THROWN[thrown][1]}"):
            await bridge.call_tool("m.Runtime.evaluate", {"expression": thrown})


async def test_a_navigation_that_fails_is_an_error_and_a_download_is_none(tmp_path: Path) -> None:
    async with stage(Chrome) as on, browser(tmp_path, on) as bridge:
        with pytest.raises(ToolError, match="net::ERR_NAME_NOT_RESOLVED"):
            await bridge.call_tool("m.Page.navigate", {"url": "http://nowhere.example/"})
        assert (await bridge.call_tool("m.Page.navigate", {"url": "http://a.example/file.zip"})).end == "until"


async def test_a_crash_fails_the_calls_under_way_and_the_next_connection_uses_another_page(tmp_path: Path) -> None:
    async with stage(Crashing) as on, browser(tmp_path, on) as bridge:
        with pytest.raises(SessionLost, match="the page crashed"):
            await bridge.call_tool("m.Runtime.evaluate", {"expression": "crash"})
        for _ in range(2):
            assert await bridge.call_tool("m.Runtime.evaluate", {"expression": "1"}) == {"value": 1}
        assert on.closed == ["page-1"]
        assert on.made == ["page-new"]
        await cut(on)
        assert await bridge.call_tool("m.Runtime.evaluate", {"expression": "1"}) == {"value": 1}
        assert on.made == ["page-new"]
    assert not on.broken


GONE = {
    "detached": ("Target.detachedFromTarget", {"sessionId": "session-1"}, None, "the page was closed"),
    "taken over": (
        "Inspector.detached",
        {"reason": "canceled_by_user"},
        "session-1",
        r"another client took it over \(canceled_by_user\)",
    ),
    "crashed": ("Inspector.targetCrashed", {}, "session-1", "the page crashed"),
    "crashed, as the browser reports it": ("Target.targetCrashed", {"targetId": "page-1"}, None, "the page crashed"),
    "destroyed": ("Target.targetDestroyed", {"targetId": "page-1"}, None, "the page was closed"),
}


@pytest.mark.parametrize(("method", "params", "session", "why"), GONE.values(), ids=GONE)
async def test_calls_fail_at_once_when_their_page_is_gone(
    tmp_path: Path, method: str, params: Any, session: str | None, why: str
) -> None:
    class Silent(Chrome):
        async def evaluate(self, message: Any, expression: str) -> None:
            for at in ("other", session or "browser"):
                other = {"sessionId": "other", "targetId": "other"} if at == "other" else params
                gone = {"method": method, "params": other, **({"sessionId": at} if session else {})}
                if at != "other" or not session or "Inspector" in method:
                    await self.send(gone)

    async with stage(Silent) as on, browser(tmp_path, on) as bridge:
        with pytest.raises(SessionLost, match=why):
            await bridge.call_tool("m.Runtime.evaluate", {"expression": "1"})


async def test_an_endpoint_of_one_page_needs_no_session(tmp_path: Path) -> None:
    class Page(Chrome):
        async def take(self, message: Any) -> None:
            check(message, {"id", "method"}, {"params"})
            await self.succeed(message, value=message["params"])

    template = {"on_connect": [], "message": {"id": "{{ request_id }}", "method": "{{ tool }}", "params": "{{ args }}"}}
    async with stage(Page) as on, browser(tmp_path, on, **template) as bridge:
        result = await bridge.call_tool("m.Runtime.evaluate", {"expression": "1"})
    assert result == {"value": {"expression": "1"}}
    assert methods(on) == ["Runtime.evaluate"]
