"""Probes: what is refused before anything is sent, what is sent, and when a probe ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from utcp_ws_mcp.authoring import probing as module
from utcp_ws_mcp.authoring import quoting
from utcp_ws_mcp.authoring.folder import ManifestFolder
from utcp_ws_mcp.authoring.grants import Grants, HostPattern
from utcp_ws_mcp.authoring.probing import MAX_SENT, Probed, ProbeRequest, as_messages, check_request, probe
from utcp_ws_mcp.authoring.quoting import DATA_NOTICE
from utcp_ws_mcp.authoring.workspace import Workspace
from utcp_ws_mcp.errors import AuthoringRefused, ForbiddenURL

from ..peer import Peer, echo, peer, silent


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE", 0.01)


@pytest.mark.parametrize("url", ["ws://${HOST}/", "ws://$HOST?x", "ws://a{b}.example/x"])
def test_a_host_must_be_written(url: str) -> None:
    with pytest.raises(AuthoringRefused) as refused:
        check_request(ProbeRequest(url))
    assert refused.value.code == "host-not-fixed"


def test_variables_may_stand_behind_the_host() -> None:
    url = check_request(ProbeRequest("wss://a.example/${PATH_X}?l=${KEY}"))
    assert (url.host, url.port) == ("a.example", 443)
    with pytest.raises(ForbiddenURL):
        check_request(ProbeRequest("http://a.example/"))
    assert check_request(ProbeRequest("http://a.example/"), ("http",)).host == "a.example"


TOKEN = "abcdefgh12345678abcdefgh"
SECRETS: list[dict[str, Any]] = [
    {"url": f"ws://a.example/?token={TOKEN}"},
    {"headers": {"Authorization": f"Bearer {TOKEN}"}},
    {"messages": [json.dumps({"token": TOKEN})]},
]


@pytest.mark.parametrize("secret", SECRETS, ids=["url", "header", "message"])
def test_a_secret_as_plain_text_is_refused_with_the_variable_to_write(secret: dict[str, Any]) -> None:
    with pytest.raises(AuthoringRefused) as refused:
        check_request(ProbeRequest(**{"url": "ws://a.example/", **secret}))
    assert refused.value.code == "secret-in-argument"
    assert "Write ${" in refused.value.message
    assert TOKEN not in refused.value.message


def test_variables_of_all_texts_are_known_but_not_those_of_binary_messages() -> None:
    request = ProbeRequest("ws://a/${A}", {"X": "${B}"}, ("${C}",), ("${D} $${E}", b"${F}"))
    assert request.variables()[:4] == ["A", "B", "C", "D"]
    assert "F" not in request.variables()


MESSAGES: list[tuple[list[Any], bool, list[str | bytes]]] = [
    (["a", {"é": 1}, [1], None], False, ["a", '{"é": 1}', "[1]", "null"]),
    (["00 ff"], True, [b"\x00\xff"]),
    ([], True, []),
]


@pytest.mark.parametrize(("values", "binary", "messages"), MESSAGES)
def test_messages_are_texts_or_json_or_bytes(values: list[Any], binary: bool, messages: list[str | bytes]) -> None:
    assert as_messages(values, binary=binary) == messages


def test_what_is_no_list_of_messages_is_refused() -> None:
    assert len(as_messages(["x"] * MAX_SENT, binary=False)) == MAX_SENT == 50
    with pytest.raises(AuthoringRefused, match="51 messages are too many for one probe. Send at most 50."):
        as_messages(["x"] * 51, binary=False)
    with pytest.raises(AuthoringRefused, match="a binary message is not hexadecimal"):
        as_messages(["0x"], binary=True)


async def probed(folder: Path, seen: Peer, *messages: str | bytes, **request: Any) -> Probed:
    workspace = Workspace(ManifestFolder.open(folder), Grants([HostPattern.parse(f"localhost:{seen.port}")]))
    variables = request.pop("variables", {})
    asked = ProbeRequest(seen.url, messages=messages, **request)
    return await probe(asked, variables, workspace.resolver, lambda text: text.replace("sunny", "SUN"))


async def test_messages_are_sent_in_order_and_the_conversation_is_shown_with_a_draft(tmp_path: Path) -> None:
    async with peer(echo) as seen:
        found = await probed(tmp_path, seen, '{"op": "sunny"}', b"\0\1", headers={"X-A": "b"}, protocols=())
    assert seen.received == [{"op": "sunny"}, b"\0\1"]
    assert seen.upgrades[0].headers["X-A"] == "b"
    notice, lines, draft = found.text.split("\n\n", 2)
    assert notice == DATA_NOTICE
    assert '> {"op": "SUN"}' in lines
    assert '< {"op": "SUN"}' in lines
    assert draft.startswith('Draft, a guess; use it as base "draft", or correct it:\n{')
    assert "sunny" not in found.text
    assert found.draft is not None
    assert "$comment" not in found.draft
    assert seen.closed == [(1000, "")]


async def test_the_values_of_variables_are_sent_and_not_shown(tmp_path: Path) -> None:
    async with peer(echo) as seen:
        found = await probed(tmp_path, seen, '{"k": "${KEY}"}', variables={"KEY": "s3cret-value-1"})
    assert seen.received == [{"k": "s3cret-value-1"}]
    assert ("s3cret" in found.text, "${KEY}" in found.text) == (False, True)


async def test_a_probe_ends_when_the_endpoint_goes(tmp_path: Path) -> None:
    async def leave(_: Peer, connection: Any, message: Any) -> None:
        await connection.close(4000, "bye")

    async with peer(leave) as seen:
        with anyio.fail_after(10):
            found = await probed(tmp_path, seen, "a", "b", seconds=60)
    assert seen.received == ["a"]
    assert "4000" in found.text


async def test_a_probe_ends_when_there_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def flood(_: Peer, connection: Any, message: Any) -> None:
        for number in range(20):
            await connection.send(json.dumps({"type": "tick", "n": number}))

    assert (module.MAX_RECORDED, module.MAX_RECORDED_BYTES, module.MAX_SECONDS, module.MAX_PROBE_SECONDS) == (
        300, 2 << 20, 20.0, 60.0
    )  # fmt: skip
    monkeypatch.setattr(module, "MAX_RECORDED", 5)
    async with peer(flood) as seen:
        with anyio.fail_after(10):
            found = await probed(tmp_path, seen, "a", seconds=60)
    assert "! the probe ended after 5 messages, because it has enough of them" in found.text
    assert found.draft is not None


async def test_a_probe_that_takes_too_long_shows_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PROBE_SECONDS", 0.3)
    async with peer(silent) as seen:
        with anyio.fail_after(10):
            found = await probed(tmp_path, seen, '{"op": "a"}', seconds=60)
    assert '> {"op": "a"}' in found.text
    assert "the probe ended" not in found.text


async def test_no_part_of_a_secret_is_shown_where_a_draft_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with peer(echo) as seen:
        drafted = (await probed(tmp_path, seen, '{"op": "sunny"}')).draft
        compact = json.dumps(drafted, ensure_ascii=False, separators=(",", ":"))
        monkeypatch.setattr(quoting, "MAX_SHOWN_JSON", compact.index("sunny") + 3)
        shown = (await probed(tmp_path, seen, '{"op": "sunny"}')).text
    assert "… (cut: " in shown
    assert "sun" not in shown


async def test_the_time_of_a_probe_begins_when_its_connection_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PROBE_SECONDS", 0)
    async with peer(silent) as seen:
        found = await probed(tmp_path, seen, "a")
    assert found.text.startswith(module.DATA_NOTICE)
    assert seen.received == []


async def test_a_conversation_of_which_nothing_can_be_drafted_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr(module.Recording, "draft", fail)
    async with peer(echo) as seen:
        found = await probed(tmp_path, seen, "a")
    assert found.draft is None
    assert found.text.endswith("\n\nNo manifest can be drafted from this; write one (guide).")


def test_a_request_is_shown_without_what_it_sends() -> None:
    assert repr(ProbeRequest("ws://a/", {"X": "y"}, (), ("m",))).count("'y'") == 0
