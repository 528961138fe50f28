"""The URIs, templates and texts of feeds as resources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import Peer, bridge_to, peer, silent
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.server import feed_resources as module
from utcp_ws_mcp.server.feed_resources import MAX_URI_LENGTH, FeedResources
from utcp_ws_mcp.server.resources import EndpointResources, ResourceNotWatched, everything, unknown_resource

INPUTS = {
    "type": "object",
    "properties": {"room": {"type": "string"}, "floor id": {"type": "integer"}, "any": {"type": "boolean"}},
    "required": ["room", "floor id"],
}
FEEDS = [
    {"name": "all", "match": "true"},
    {"name": "said", "description": "What is said in a room ", "inputs": INPUTS, "match": "message.room == args.room"},
]
ROOM = "utcp-ws://feeds/m/said?floor%20id=3&room=a%2Fb%20c"


def manifest(seen: Peer, *feeds: Any) -> dict[str, Any]:
    return {"name": "m", "url": seen.url, "feeds": [*(feeds or FEEDS)], "tools": [{"name": "t"}]}


def watched(bridge: Bridge) -> list[str]:
    return [resource["uri"] for resource in FeedResources(bridge).listed(everything)]


async def test_a_feed_has_the_name_that_its_event_has(tmp_path: Path) -> None:
    event = {"name": "text document/order:new?é", "match": "true"}
    async with peer(silent) as seen, bridge_to(tmp_path, manifest(seen, event)) as bridge:
        (uri,) = watched(bridge)
        assert uri == "utcp-ws://feeds/m/text%20document%2Forder%3Anew%3F%C3%A9"
        text = EndpointResources(bridge).read(uri)
        assert text is not None
        assert json.loads(text)["state"] == "opening"
        result = await bridge.call_tool("m.text document/order:new?é_events")
        assert result["events"] == []


async def test_a_feed_without_required_arguments_is_listed_and_each_that_is_followed(tmp_path: Path) -> None:
    async with peer(silent) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        feeds = FeedResources(bridge)
        every = {
            "uri": "utcp-ws://feeds/m/all",
            "name": "m.all",
            "title": "Feed m.all",
            "description": "Events of the feed all of m.",
            "mimeType": "application/json",
        }
        assert feeds.listed(everything) == [every]
        feeds.read(ROOM, everything)
        feeds.read("utcp-ws://feeds/m/all", everything)
        assert feeds.listed(everything) == [
            every,
            {
                "uri": ROOM,
                "name": "m.said",
                "title": "Feed m.said (floor id = 3, room = a/b c)",
                "description": "What is said in a room.",
                "mimeType": "application/json",
            },
        ]
        assert feeds.listed(lambda tool: tool.name == "all_events") == [every]
        states = feeds.read("utcp-ws://feeds", everything)
        assert [len(state["open"]) for state in states] == [1, 1]
        assert states[1]["arguments"] == ["any", "floor id", "room"]
        assert states[1]["description"] == FEEDS[1]["description"]
        assert states[1]["open"][0]["arguments"] == {"room": "a/b c", "floor id": 3}


async def test_arguments_that_a_uri_cannot_hold_are_not_listed(tmp_path: Path) -> None:
    async with peer(silent) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        room = MAX_URI_LENGTH - len("utcp-ws://feeds/m/said?floor%20id=3&room=")
        for length in (room, room + 1):
            FeedResources(bridge).read(f"utcp-ws://feeds/m/said?room={'x' * length}&floor%20id=3", everything)
        assert [len(uri) for uri in watched(bridge)] == [len("utcp-ws://feeds/m/all"), MAX_URI_LENGTH]


async def test_the_list_of_feeds_has_a_greatest_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LISTED", 2)
    feeds = [{"name": f"f{number}", "match": "true"} for number in range(3)]
    async with peer(silent) as seen, bridge_to(tmp_path, manifest(seen, *feeds)) as bridge:
        assert watched(bridge) == ["utcp-ws://feeds/m/f0", "utcp-ws://feeds/m/f1"]


async def test_a_template_has_the_required_arguments_first_and_the_parameters_of_a_page(tmp_path: Path) -> None:
    async with peer(silent) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        first, second = FeedResources(bridge).templates(everything)
    assert first["uriTemplate"] == "utcp-ws://feeds/m/all{?cursor,max_events,where}"
    assert first["description"] == "Events of the feed all of m. The newest events, or those after a cursor."
    assert second == {
        "uriTemplate": "utcp-ws://feeds/m/said{?floor%20id,room,any,cursor,max_events,where}",
        "name": "m.said",
        "title": "Feed m.said",
        "description": "What is said in a room. The newest events, or those after a cursor. Required: floor id, room.",
        "mimeType": "application/json",
    }


@pytest.mark.parametrize(
    "uri",
    [
        "utcp-ws://feeds/m/said/x",
        "utcp-ws://feeds/m",
        "utcp-ws://feeds/n/said",
        "utcp-ws://feeds/m/t",
        "utcp-ws://feeds/m/said_events",
        "utcp-ws://[feeds/m/said",
    ],
)
async def test_a_uri_of_no_feed_has_no_content_and_no_changes(tmp_path: Path, uri: str) -> None:
    async with peer(silent) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        feeds = FeedResources(bridge)
        assert feeds.read(uri, everything) is None
        assert feeds.watch(uri, lambda: None) is None
        assert not feeds.is_visible(uri, everything)


async def test_a_feed_with_values_of_a_caller_has_no_resource(tmp_path: Path) -> None:
    from utcp_ws_mcp import load_manifest
    from utcp_ws_mcp.manifest.variables import CallerValues

    async with peer(silent) as seen:
        document = {**manifest(seen, FEEDS[0]), "headers": {"x": "${caller:KEY}"}}
        (tmp_path / "m.json").write_text(json.dumps(document))
        callers = CallerValues("value-of-{}".format, are_stand_ins=True)
        async with Bridge([load_manifest(tmp_path / "m.json", callers=callers)]) as bridge:
            assert watched(bridge) == []
            assert FeedResources(bridge).templates(everything) == []
            assert FeedResources(bridge).read("utcp-ws://feeds/m/all", everything) is None


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("utcp-ws://manifest-guide", "the changes of utcp-ws://manifest-guide are not announced. Read it again;"),
        ("utcp-ws://endpoints", "the changes of utcp-ws://endpoints are not announced. Read it again;"),
        ("utcp-ws://endpoints/m", "are not announced"),
        ("utcp-ws://endpoints/n", "there is no resource 'utcp-ws://endpoints/n'"),
        ("utcp-ws://feeds/m/none", "there is no resource 'utcp-ws://feeds/m/none'"),
        ("utcp-ws://feeds/m/said", "room"),
        ("x:y", "there is no resource 'x:y'; utcp-ws://endpoints lists the endpoints, utcp-ws://feeds the feeds"),
    ],
)
async def test_the_refusal_of_a_watch_says_why(tmp_path: Path, uri: str, message: str) -> None:
    async with peer(silent) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        with pytest.raises(ResourceNotWatched) as refused:
            EndpointResources(bridge).watch(uri, lambda: None)
    assert message in refused.value.message
    assert refused.value.data["uri"] == uri


async def test_the_list_of_feeds_can_be_watched_until_that_is_ended(tmp_path: Path) -> None:
    async with peer(silent) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        changes: list[str] = []
        resources = EndpointResources(bridge)
        end = resources.watch("utcp-ws://feeds", lambda: changes.append("list"))
        other = resources.on_change(lambda: changes.append("other"))
        resources.read("utcp-ws://feeds/m/all")
        assert {*changes} == {"list", "other"}
        end()
        changes.clear()
        for callback in bridge.on_tools_changed + bridge.on_feeds_changed:
            callback()
        assert {*changes} == {"other"}
        other()
        assert bridge.on_feeds_changed == []


async def test_a_manifest_without_feeds_lists_the_resources_of_the_server_only(tmp_path: Path) -> None:
    async with peer(silent) as seen:
        async with bridge_to(tmp_path, {"name": "m", "url": seen.url, "tools": [{"name": "t"}]}) as bridge:
            resources = EndpointResources(bridge)
            assert [each["name"] for each in resources.listed()] == ["endpoints", "feeds", "manifest-guide"]
            assert [each["name"] for each in resources.templates()] == ["endpoint"]
            assert resources.is_visible("utcp-ws://endpoints", lambda tool: False)
            assert json.loads(resources.read("utcp-ws://feeds") or "") == []


def test_an_unknown_uri_is_shown_up_to_its_length() -> None:
    for length in (200, 201):
        message, data = unknown_resource("x" * length)
        assert data == {"uri": "x" * 200}
        assert f"'{'x' * 200}'" in message
