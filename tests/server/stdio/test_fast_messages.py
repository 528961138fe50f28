"""Single messages of a host: which the fast path answers and how, and which it leaves to the SDK's server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from tests.peer import PATIENCE, bridge_to
from tests.server.stdio.pipes import INITIALIZE
from tests.server.stdio.test_fast_path import ENVELOPE
from tests.server.stdio.test_outbound import Lines
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.server.stdio.fast_path import FastPath
from utcp_ws_mcp.server.stdio.outbound import StdioOutbound
from utcp_ws_mcp.server.stdio.protocol_state import ProtocolState
from utcp_ws_mcp.server.stdio.subscriptions import MAX_SUBSCRIPTIONS
from utcp_ws_mcp.server.stdio.writer import Writer
from utcp_ws_mcp.server.tools import ToolService

DOCUMENT = {
    "name": "m",
    "url": "ws://127.0.0.1:1/",
    "tools": [{"name": "t"}],
    "feeds": [{"name": "f", "match": "true"}],
}
FEED = "utcp-ws://feeds/m/f"
META = {"_meta": ENVELOPE}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class Fast:
    """A fast path, and the lines that it has written."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.tools = ToolService(bridge)
        self.state = ProtocolState()
        self.writer = Lines()
        self.path = FastPath(self.tools, StdioOutbound(cast("Writer", self.writer), 1 << 23), self.state)

    def handles(self, method: Any, request_id: Any = 1, **params: Any) -> bool:
        return self.path.try_handle({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})

    def notified(self, method: str, **params: Any) -> bool:
        return self.path.try_handle({"jsonrpc": "2.0", "method": method, "params": params})

    def initialize(self) -> None:
        assert self.handles("initialize", **INITIALIZE)
        assert self.notified("notifications/initialized")
        self.take()

    def take(self) -> list[Any]:
        """Return the lines that are new."""
        lines = [json.loads(line) for line in self.writer.lines if line != b"drained"]
        self.writer.lines.clear()
        return lines

    async def taken(self, count: int = 1) -> list[Any]:
        """Wait for lines."""
        found: list[Any] = []
        with anyio.fail_after(PATIENCE):
            while len(found) < count:
                found += self.take()
                await anyio.lowlevel.checkpoint()
        return found


@asynccontextmanager
async def fast_path(folder: Path, era: str = "") -> AsyncIterator[Fast]:
    async with bridge_to(folder, DOCUMENT) as bridge:
        fast = Fast(bridge)
        if era == "handshake":
            fast.initialize()
        yield fast
        await fast.path.aclose()


def envelope(era: str) -> dict[str, Any]:
    return META if era == "modern" else {}


ERAS = pytest.mark.parametrize("era", ["handshake", "modern"])


@pytest.mark.parametrize(
    ("version", "revision"),
    [
        ("2024-11-05", "2024-11-05"),
        ("2025-11-25", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
    ],
)
async def test_initialize_is_answered_with_a_revision_that_both_have(
    tmp_path: Path, version: str, revision: str
) -> None:
    async with fast_path(tmp_path) as fast:
        assert fast.handles("initialize", **{**INITIALIZE, "protocolVersion": version})
        (answer,) = fast.take()
        result = answer["result"]
        assert (result["protocolVersion"], fast.state.revision, fast.state.is_handshake) == (revision, revision, True)
        assert result["capabilities"] == {
            "tools": {"listChanged": True},
            "resources": {"listChanged": True, "subscribe": True},
        }
        assert result["serverInfo"]["name"] == "utcp-ws-mcp"
        assert [icon["mimeType"] for icon in result["serverInfo"]["icons"]] == ["image/svg+xml"]
        assert result["instructions"].startswith("Tools of WebSocket endpoints.")
        assert not fast.handles("initialize", **INITIALIZE)  # a second one


@pytest.mark.parametrize(
    "changed",
    [
        {"protocolVersion": 1},
        {"protocolVersion": None},
        {"clientInfo": None},
        {"clientInfo": {"name": "x"}},
        {"clientInfo": {"name": "x", "version": 1}},
        {"capabilities": None},
        {"capabilities": []},
    ],
)
async def test_an_initialize_that_is_not_usual_is_left_to_the_sdk(tmp_path: Path, changed: dict[str, Any]) -> None:
    async with fast_path(tmp_path) as fast:
        assert not fast.handles("initialize", **{**INITIALIZE, **changed})
        assert (fast.take(), fast.state.is_undecided) == ([], True)


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "1.0", "id": 1, "method": "ping"},
        {"id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1, "method": 5},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]},
        {"jsonrpc": "2.0", "id": True, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1.5, "method": "ping"},
        {"jsonrpc": "2.0", "id": None, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1, "method": "no/such"},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": 1}},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"_meta": 5}},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"_meta": {"progressToken": True}}},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"_meta": {"progressToken": [1]}}},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": META},
        {"jsonrpc": "2.0", "method": "ping"},
    ],
)
async def test_what_is_not_usual_is_left_to_the_sdk(tmp_path: Path, message: Any) -> None:
    async with fast_path(tmp_path, "handshake") as fast:
        assert not fast.path.try_handle(message)
        assert fast.take() == []


@pytest.mark.parametrize(
    "meta", [{}, {"_meta": {}}, {"_meta": {"progressToken": 1}}, {"_meta": {"progressToken": "x"}}]
)
async def test_a_ping_is_answered_in_a_session_only(tmp_path: Path, meta: dict[str, Any]) -> None:
    async with fast_path(tmp_path, "handshake") as fast:
        assert fast.handles("ping", "one", **meta)
        assert fast.take() == [{"jsonrpc": "2.0", "id": "one", "result": {}}]
    async with fast_path(tmp_path) as fast:
        assert not fast.handles("ping", **META)
        assert fast.take() == []


async def test_discovery_is_answered_in_the_modern_era_only(tmp_path: Path) -> None:
    async with fast_path(tmp_path) as fast:
        assert fast.handles("server/discover", **META)
        (answer,) = fast.take()
        result = answer["result"]
        assert result["supportedVersions"] == ["2026-07-28"]
        assert (result["ttlMs"], result["cacheScope"], result["resultType"]) == (0, "private", "complete")
        assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "utcp-ws-mcp"
        assert not fast.handles("server/discover", **META, x=1)
    async with fast_path(tmp_path, "handshake") as fast:
        assert not fast.handles("server/discover")


UNKNOWN = [
    ("tools/list", {"x": 1}),
    ("tools/list", {"cursor": 5}),
    ("resources/list", {"x": 1}),
    ("resources/list", {"cursor": 5}),
    ("resources/templates/list", {"x": 1}),
    ("resources/templates/list", {"cursor": []}),
    ("prompts/list", {"x": 1}),
    ("resources/read", {}),
    ("resources/read", {"uri": 5}),
    ("resources/read", {"uri": FEED, "x": 1}),
    ("tools/call", {}),
    ("tools/call", {"name": 5}),
    ("tools/call", {"name": "m_t", "arguments": [1]}),
    ("tools/call", {"name": "m_t", "x": 1}),
]


@ERAS
@pytest.mark.parametrize(("method", "params"), UNKNOWN)
async def test_parameters_that_are_not_known_are_left_to_the_sdk(
    tmp_path: Path, era: str, method: str, params: dict[str, Any]
) -> None:
    async with fast_path(tmp_path, era) as fast:
        assert not fast.handles(method, **params, **envelope(era))
        assert fast.take() == []


@ERAS
async def test_lists_are_answered_with_what_a_client_may_cache(tmp_path: Path, era: str) -> None:
    async with fast_path(tmp_path, era) as fast:
        assert fast.handles("resources/list", 1, **envelope(era))
        assert fast.handles("resources/templates/list", 2, **envelope(era))
        assert fast.handles("tools/list", 3, **envelope(era))
        first, second, third = (answer["result"] for answer in await fast.taken(3))
        assert [each["name"] for each in first["resources"]] == ["endpoints", "feeds", "manifest-guide", "m.f"]
        assert [each["name"] for each in second["resourceTemplates"]] == ["endpoint", "m.f"]
        assert "m_t" in [each["name"] for each in third["tools"]]
        cached = [each.get("ttlMs") for each in (first, second, third)]
        assert cached == ([0, 0, 1000] if era == "modern" else [None] * 3)
        assert {each.get("resultType") for each in (first, second, third)} == (
            {"complete"} if era == "modern" else {None}
        )
        assert "nextCursor" not in third


@ERAS
@pytest.mark.parametrize("method", ["resources/list", "resources/templates/list", "tools/list"])
async def test_a_cursor_that_no_page_has_is_an_error(tmp_path: Path, era: str, method: str) -> None:
    async with fast_path(tmp_path, era) as fast:
        assert fast.handles(method, cursor="7", **envelope(era))
        (answer,) = await fast.taken()
        assert answer["error"] == {
            "code": -32602,
            "message": "this server returned no such cursor, or the list has changed; list from the beginning",
        }
        assert fast.handles(method, cursor=None, **envelope(era))
        assert "result" in (await fast.taken())[0]


@ERAS
async def test_there_are_no_prompts(tmp_path: Path, era: str) -> None:
    async with fast_path(tmp_path, era) as fast:
        assert fast.handles("prompts/list", **envelope(era))
        (answer,) = fast.take()
        assert answer["error"] == {"code": -32601, "message": "Method not found", "data": "prompts/list"}


@ERAS
async def test_a_resource_is_read_with_its_media_type(tmp_path: Path, era: str) -> None:
    async with fast_path(tmp_path, era) as fast:
        for uri, kind in (("utcp-ws://endpoints", "application/json"), ("utcp-ws://manifest-guide", "text/markdown")):
            assert fast.handles("resources/read", uri=uri, **envelope(era))
            (answer,) = fast.take()
            ((content),) = answer["result"]["contents"]
            assert (content["uri"], content["mimeType"], bool(content["text"])) == (uri, kind, True)
        assert fast.handles("resources/read", uri="x:y", **envelope(era))
        (answer,) = fast.take()
        assert (answer["error"]["code"], answer["error"]["data"]) == (-32602, {"uri": "x:y"})


@ERAS
async def test_a_call_is_answered_and_an_unknown_tool_is_an_error(tmp_path: Path, era: str) -> None:
    async with fast_path(tmp_path, era) as fast:
        assert fast.handles("tools/call", "c", name="m_t", arguments=None, **envelope(era))
        (answer,) = await fast.taken()
        assert (answer["id"], answer["result"]["isError"]) == ("c", True)
        assert "cannot connect" in answer["result"]["content"][0]["text"]
        assert fast.handles("tools/call", name="zzz", **envelope(era))
        (answer,) = await fast.taken()
        assert answer["error"]["code"] == -32602
        assert answer["error"]["message"].startswith("there is no tool 'zzz'")


@ERAS
async def test_the_result_of_a_call_waits_for_a_host_that_reads_slowly(tmp_path: Path, era: str) -> None:
    async with fast_path(tmp_path, era) as fast:
        assert fast.handles("tools/call", name="m_t", **envelope(era))
        with anyio.fail_after(PATIENCE):
            while len(fast.writer.lines) < 2:
                await anyio.lowlevel.checkpoint()
        assert fast.writer.lines[0] == b"drained"
        assert b'"result"' in fast.writer.lines[1]


async def test_nothing_precedes_the_acknowledgement_of_a_subscription(tmp_path: Path) -> None:
    async with fast_path(tmp_path) as fast:
        assert fast.handles("subscriptions/listen", "s", **wanted(resourceSubscriptions=["utcp-ws://feeds", FEED]))
        first, *others = fast.take()
        assert first["method"] == "notifications/subscriptions/acknowledged"
        assert "utcp-ws://feeds" in [each["params"]["uri"] for each in others]  # watching a feed has opened it


@pytest.mark.parametrize(("era", "decided"), [("", False), ("handshake", True), ("modern", True)])
async def test_an_era_is_decided_by_the_first_request(tmp_path: Path, era: str, decided: bool) -> None:
    async with fast_path(tmp_path, era) as fast:
        if era == "modern":
            assert fast.handles("resources/list", **META)
        assert (fast.state.is_decided, fast.state.is_undecided) == (decided, not decided)
        fast.state.delegate_if_undecided()
        assert (fast.state.is_decided, fast.state.is_delegated) == (decided, not decided)


async def test_a_defect_is_an_error_whose_text_is_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise ValueError("a secret")

    monkeypatch.setattr(ToolService, "list_tools", fail)
    async with fast_path(tmp_path, "handshake") as fast:
        assert fast.handles("tools/list", 5)
        (answer,) = await fast.taken()
    assert answer == {
        "jsonrpc": "2.0",
        "id": 5,
        "error": {"code": -32603, "message": "internal error of utcp-ws-mcp; see its log on stderr"},
    }
    assert [record.getMessage() for record in caplog.records] == ["internal error in a request"]


@pytest.mark.parametrize("request_id", [1, "one"])
async def test_a_cancelled_request_is_not_answered_and_its_id_can_be_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_id: int | str
) -> None:
    started = anyio.Event()

    async def wait(*_: object) -> None:
        started.set()
        await anyio.sleep_forever()

    async with fast_path(tmp_path, "handshake") as fast:
        listing = await fast.tools.list_tools()
        monkeypatch.setattr(ToolService, "list_tools", wait)
        assert fast.handles("tools/list", request_id)
        with anyio.fail_after(PATIENCE):
            await started.wait()
        assert not fast.notified("notifications/cancelled", requestId="other")
        assert not fast.notified("notifications/cancelled", requestId=[1])
        assert fast.notified("notifications/cancelled", requestId=request_id)

        async def listed(*_: object) -> Any:
            return listing

        monkeypatch.setattr(ToolService, "list_tools", listed)
        assert fast.handles("tools/list", request_id)
        (answer,) = await fast.taken()
        assert "result" in answer
        assert not fast.notified("notifications/cancelled", requestId=request_id)


async def test_the_end_cancels_what_is_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    async def wait(*_: object) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("ended")

    monkeypatch.setattr(ToolService, "list_tools", wait)
    async with fast_path(tmp_path, "handshake") as fast:
        for number in (1, 2):
            assert fast.handles("tools/list", number)
        await anyio.lowlevel.checkpoint()
        await fast.path.aclose()
        assert ended == ["ended"] * 2
        assert fast.take() == []


async def test_other_notifications_are_left_to_the_sdk(tmp_path: Path) -> None:
    async with fast_path(tmp_path) as fast:
        assert not fast.notified("notifications/initialized")
        assert fast.handles("tools/list", **META)
        assert not fast.notified("notifications/initialized")
    async with fast_path(tmp_path, "handshake") as fast:
        assert fast.notified("notifications/initialized")
        assert not fast.notified("notifications/roots/list_changed")


CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}


async def test_a_session_is_notified_of_a_changed_list_that_it_has(tmp_path: Path) -> None:
    async with fast_path(tmp_path) as fast:
        assert fast.handles("initialize", **INITIALIZE)
        assert fast.handles("tools/list", 2)
        await fast.taken(2)
        fast.bridge.reload(fast.bridge.manifests)
        assert fast.take() == []  # the session is not open yet
        assert fast.notified("notifications/initialized")
        fast.bridge.reload(fast.bridge.manifests)
        assert fast.take() == [CHANGED]
    async with fast_path(tmp_path, "handshake") as fast:
        fast.bridge.reload(fast.bridge.manifests)
        assert fast.take() == []  # it has no list yet


async def test_a_session_subscribes_to_a_feed_until_it_unsubscribes(tmp_path: Path) -> None:
    async with fast_path(tmp_path, "handshake") as fast:
        assert fast.handles("resources/subscribe", uri=FEED)
        assert {"jsonrpc": "2.0", "id": 1, "result": {}} in fast.take()
        assert fast.handles("resources/unsubscribe", uri=FEED)
        assert fast.take() == [{"jsonrpc": "2.0", "id": 1, "result": {}}]
        assert not fast.handles("resources/unsubscribe", uri=FEED)  # the SDK may have it
        assert fast.handles("resources/subscribe", uri="x:y")
        (answer,) = fast.take()
        assert (answer["error"]["code"], answer["error"]["data"]) == (-32602, {"uri": "x:y"})
        for params in ({}, {"uri": 5}, {"uri": FEED, "x": 1}):
            assert not fast.handles("resources/subscribe", **params)
            assert not fast.handles("resources/unsubscribe", **params)
    async with fast_path(tmp_path) as fast:
        assert not fast.handles("resources/subscribe", uri=FEED, **META)


def wanted(**notifications: Any) -> dict[str, Any]:
    return {"notifications": notifications, **META}


async def test_a_subscription_is_acknowledged_with_what_it_will_get(tmp_path: Path) -> None:
    async with fast_path(tmp_path) as fast:
        params = wanted(
            toolsListChanged=True,
            resourcesListChanged=False,
            promptsListChanged=True,
            resourceSubscriptions=[FEED, "x:y"],
        )
        assert fast.handles("subscriptions/listen", "s", **params)
        first, *others = fast.take()
        assert first == {
            "jsonrpc": "2.0",
            "method": "notifications/subscriptions/acknowledged",
            "params": {
                "notifications": {"toolsListChanged": True, "resourceSubscriptions": [FEED]},
                "_meta": {SUBSCRIPTION: "s"},
            },
        }
        assert {each["method"] for each in others} <= {"notifications/resources/updated"}
        assert all(each["params"] == {"uri": FEED, "_meta": {SUBSCRIPTION: "s"}} for each in others)
        assert fast.handles("tools/list", 2, **META)
        await fast.taken()
        fast.bridge.reload(fast.bridge.manifests)
        notified = [each for each in fast.take() if each["method"] == CHANGED["method"]]
        assert notified == [{**CHANGED, "params": {"_meta": {SUBSCRIPTION: "s"}}}]
        assert fast.notified("notifications/cancelled", requestId="s")
        fast.bridge.reload(fast.bridge.manifests)
        assert fast.take() == []


@pytest.mark.parametrize(
    "notifications",
    [
        None,
        [],
        {"toolsListChanged": 5},
        {"resourcesListChanged": "x"},
        {"promptsListChanged": 1},
        {"resourceSubscriptions": "x"},
        {"resourceSubscriptions": [5]},
    ],
)
async def test_a_subscription_that_is_not_well_formed_is_left_to_the_sdk(tmp_path: Path, notifications: Any) -> None:
    async with fast_path(tmp_path) as fast:
        assert not fast.handles("subscriptions/listen", notifications=notifications, **META)
        assert fast.take() == []
        assert not fast.handles("subscriptions/listen", **wanted(), x=1)
    async with fast_path(tmp_path, "handshake") as fast:
        assert not fast.handles("subscriptions/listen", notifications={})


async def test_so_many_subscriptions_may_be_open_and_each_is_answered_at_the_end(tmp_path: Path) -> None:
    async with fast_path(tmp_path) as fast:
        for number in range(MAX_SUBSCRIPTIONS):
            assert fast.handles("subscriptions/listen", number, **wanted(resourceSubscriptions=None))
        assert not fast.handles("subscriptions/listen", "more", **wanted())
        assert fast.notified("notifications/cancelled", requestId=0)
        assert not fast.handles("subscriptions/listen", 1, **wanted())  # its id is in use
        assert fast.handles("subscriptions/listen", "more", **wanted())
        fast.take()
        await fast.path.aclose()
        answers = fast.take()
        assert [answer["id"] for answer in answers] == [*range(1, MAX_SUBSCRIPTIONS), "more"]
        assert answers[-1]["result"]["resultType"] == "complete"
        assert answers[-1]["result"]["_meta"][SUBSCRIPTION] == "more"
        await fast.path.aclose()
        assert fast.take() == []


async def test_the_first_request_decides_the_era_for_all_later_ones(tmp_path: Path) -> None:
    async with fast_path(tmp_path) as fast:
        assert fast.handles("resources/list", **META)
        assert not fast.handles("resources/list")
        assert not fast.handles("initialize", **INITIALIZE)
        assert repr(fast.state) == "<ProtocolState MODERN>"
    async with fast_path(tmp_path) as fast:
        assert not fast.handles("resources/list")
        assert repr(fast.state) == "<ProtocolState UNDECIDED>"
