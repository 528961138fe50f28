"""HAR files: the recorder's draft, without secrets."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.har import import_har, longest_conversation
from utcp_ws_mcp.importers.model import ImportOptions

from .sides import entries, imported, problems_of, tools

TOKEN = "eyJhbGciOi-secret-token-1234567890"
COOKIE = "session=abcdef0123456789"


def har(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"log": {"version": "1.2", "entries": [{"request": {"url": "https://a.example.com/page"}}, *entries]}}


def entry(url: str, *messages: tuple[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    listed = [
        {"type": kind, "time": 1.0, "opcode": 1, "data": data if isinstance(data, str) else json.dumps(data)}
        for kind, data in messages
    ]
    named = [{"name": name, "value": value} for name, value in (headers or {}).items()]
    return {"request": {"url": url, "headers": named}, "_webSocketMessages": listed}


TALK = (
    ("send", {"id": 1, "action": "time", "zone": "Oslo"}),
    ("receive", {"id": 1, "result": "10:12"}),
    ("send", {"id": 2, "action": "time", "zone": "Rome"}),
    ("receive", {"id": 2, "result": "10:13"}),
)


def test_a_recorded_conversation_becomes_tools(tmp_path: Any) -> None:
    result = imported(har(entry("wss://a.example.com/live", *TALK)), url=None)
    assert result.manifest["url"] == "wss://a.example.com/live"
    assert tools(result)["time"]["inputs"]["properties"] == {"zone": {"type": "string"}}
    assert result.manifest["reply"]["match"] == "message.id == request_id"
    assert problems_of(result, tmp_path) == []


def test_secrets_become_variables_wherever_they_stand(tmp_path: Any) -> None:
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Cookie": COOKIE,
        "Host": "a.example.com",
        "Sec-WebSocket-Key": "x",
        "Sec-WebSocket-Protocol": "chat.v1",
        "Origin": "https://a.example.com",
    }
    login = (("send", {"action": "login", "token": TOKEN}), ("receive", {"ready": True, "echo": TOKEN}))
    recorded = entry(f"wss://a.example.com/live?access_token={TOKEN}&v=2", *login, *TALK, headers=headers)
    result = imported(har(recorded), url=None)
    text = json.dumps([result.manifest, result.report])
    assert TOKEN not in text
    assert "abcdef0123456789" not in text
    assert {*result.manifest["headers"]} == {"Authorization", "Cookie", "Origin"}
    assert result.manifest["protocol"] == ["chat.v1"]
    assert result.manifest["url"] == "wss://a.example.com/live"
    assert result.manifest["query"] == {"access_token": "${ACCESS_TOKEN}", "v": "2"}
    assert result.description.variables
    assert problems_of(result, tmp_path) == []


def test_a_secret_in_a_list_becomes_a_variable_too() -> None:
    asked = {"action": "watch", "as": [{"name": "ada", "password": TOKEN}]}
    talk = [each for number in (1, 2) for each in (("send", {"id": number, **asked}), ("receive", {"id": number}))]
    result = imported(har(entry("wss://a.example.com/live", *talk)), url=None)
    assert TOKEN not in json.dumps([result.manifest, result.report])
    assert [*result.description.variables] == ["PASSWORD"]


def test_a_url_that_is_given_takes_the_place_of_the_recorded_one() -> None:
    result = imported(har(entry("wss://a.example.com/live", *TALK)), url="wss://test.example.com/")
    assert result.manifest["url"] == "wss://test.example.com/"


def test_a_preset_is_recognized() -> None:
    talk = (
        ("send", {"jsonrpc": "2.0", "id": 1, "method": "sum", "params": {"a": 1}}),
        ("receive", {"jsonrpc": "2.0", "id": 1, "result": 1}),
    )
    assert imported(har(entry("wss://a.example.com/", *talk)), url=None).manifest["preset"] == "jsonrpc2"


def test_conversations_with_several_endpoints_are_several_call_templates(tmp_path: Any) -> None:
    document = har(entry("wss://a.example.com/one", *TALK), entry("wss://b.example.com/two", *TALK))
    result = imported(document, url=None)
    assert [each["url"] for each in entries(result.manifest)] == ["wss://a.example.com/one", "wss://b.example.com/two"]
    assert problems_of(result, tmp_path) == []


def test_binary_messages_are_read_and_broken_ones_left_out() -> None:
    recorded = entry("wss://a.example.com/", *TALK)
    recorded["_webSocketMessages"] += [
        {"type": "send", "opcode": 2, "data": base64.b64encode(b"\x01\x02").decode()},
        {"type": "send", "opcode": 2, "data": "no base64!"},
    ]
    assert "unhex" in json.dumps(imported(har(recorded), url=None).manifest)


def test_a_file_without_websocket_messages_says_how_to_record_them() -> None:
    with pytest.raises(ImportFailed, match="developer tools") as failed:
        imported(har(), url=None)
    assert failed.value.code == "nothing-to-import"


# Whole conversations


def frame(kind: str, data: Any, opcode: Any = 1) -> dict[str, Any]:
    found = {"type": kind, "data": data}
    return found if opcode is None else {**found, "opcode": opcode}


def conversation(entries: list[Any]) -> Any:
    return longest_conversation({"log": {"entries": entries}})


def talk(url: str, *frames: dict[str, Any], **request: Any) -> dict[str, Any]:
    return {"request": {"url": url, **request}, "_webSocketMessages": [*frames]}


def test_messages_are_read_by_their_direction_and_kind() -> None:
    recorded = conversation([
        talk(
            "wss://a.example.com/",
            frame("send", '{"a": 1}'),
            frame("request", "[1]", None),
            frame("send", '"x"'),
            frame("receive", "12"),
            frame("response", "plain"),
            frame("receive", base64.b64encode(b"\x00\xff").decode(), 2),
            frame("receive", "YQ", 2),
            frame("receive", "bye", 8),
            "odd",
        )
    ])  # fmt: skip
    assert [(each.sent, each.value) for each in recorded.messages] == [
        (True, {"a": 1}),
        (True, [1]),
        (True, '"x"'),
        (False, "12"),
        (False, "plain"),
        (False, b"\x00\xff"),
    ]


def test_the_longest_conversation_is_that_of_the_endpoint_with_the_most_messages() -> None:
    one, two = frame("send", "a"), frame("send", "b")
    recorded = conversation([
        talk("wss://a.example.com/x?v=1", one, one),
        talk("wss://b.example.com/", two, one, one),
        talk("wss://a.example.com/x?v=2", two, two),
        talk("https://c.example.com/", *[one] * 9),
    ])  # fmt: skip
    assert recorded.endpoint == {"url": "wss://a.example.com/x?v=1"}
    assert recorded.url.host == "a.example.com"
    assert [each.value for each in recorded.messages] == ["a", "a", "b", "b"]
    assert recorded.variables == []


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"log": {"entries": [{"request": {"url": "wss://a.example.com/"}}]}},
        {"log": {"entries": [talk("wss://a.example.com/")]}},
        {"log": {"entries": [talk("https://a.example.com/", frame("send", "a"))]}},
    ],
    ids=str,
)
def test_a_file_without_a_conversation_has_no_longest_one(document: Any) -> None:
    assert longest_conversation(document) is None


def headers_of(**headers: str) -> list[dict[str, str]]:
    return [{"name": name.replace("_", "-"), "value": value} for name, value in headers.items()]


def test_headers_that_every_browser_sends_are_left_out() -> None:
    usual = headers_of(
        Sec_WebSocket_Key="x", SEC_WEBSOCKET_VERSION="13", Upgrade="websocket", Host="a", User_Agent="b",
        Accept_Language="de", Pragma="c", Sec_Fetch_Mode="d", DNT="1", TE="e", Priority="f", Connection="g",
    )  # fmt: skip
    own = headers_of(Origin="https://a.example.com", X_Upgrade="1", sec_websocket_protocol="v1.chat, v2 ")
    odd = [{"name": ":path", "value": "/"}, {"name": "a b", "value": "c"}, {"name": ""}, 3]
    recorded = conversation([talk("wss://a.example.com/", frame("send", "a"), headers=[*usual, *own, *odd])])
    assert recorded.endpoint == {
        "url": "wss://a.example.com/",
        "headers": {"Origin": "https://a.example.com", "X-Upgrade": "1"},
        "protocol": ["v1.chat", "v2"],
    }


SECRET = "0123456789abcdef"


def test_secrets_of_a_conversation_are_variables_everywhere() -> None:
    recorded = conversation([
        talk(
            f"wss://a.example.com/{SECRET}?token={SECRET}&v=1",
            frame("send", json.dumps({"a": [{"apiKey": "k" * 8}], "text": f"is {SECRET}", "pin": "1234567"})),
            frame("receive", json.dumps({"same": "k" * 8 + SECRET})),
            headers=headers_of(Authorization="Bearer " + "t" * 8, Cookie="c" * 8, X_Token="${X} long enough"),
        )
    ])  # fmt: skip
    assert recorded.endpoint == {
        "url": "wss://a.example.com/${TOKEN}?token=${TOKEN}&v=1",
        "headers": {"Authorization": "Bearer ${AUTHORIZATION}", "Cookie": "${COOKIE}", "X-Token": "${X} long enough"},
    }
    assert [each.value for each in recorded.messages] == [
        {"a": [{"apiKey": "${API_KEY}"}], "text": "is ${TOKEN}", "pin": "1234567"},
        {"same": "${API_KEY}${TOKEN}"},
    ]
    assert [*recorded.variables] == ["AUTHORIZATION", "COOKIE", "TOKEN", "API_KEY"]


@pytest.mark.parametrize("scheme", ["Bearer", "Basic", "Token"])
@pytest.mark.parametrize(("length", "is_variable"), [(8, True), (7, False)])
def test_a_secret_has_at_least_8_characters_without_its_scheme(scheme: str, length: int, is_variable: bool) -> None:
    value = "s" * length
    headers = headers_of(Authorization=f"{scheme}  {value}")
    recorded = conversation([talk("wss://a.example.com/", frame("send", "a"), headers=headers)])
    expected = "${AUTHORIZATION}" if is_variable else value
    assert recorded.endpoint["headers"]["Authorization"] == f"{scheme}  {expected}"


def test_a_secret_that_contains_another_is_replaced_whole() -> None:
    messages = frame("send", json.dumps({"token": "s" * 8, "password": "s" * 8 + "abc"}))
    (only,) = conversation([talk("wss://a.example.com/", messages)]).messages
    assert only.value == {"token": "${TOKEN}", "password": "${PASSWORD}"}


def test_what_was_recorded_is_described_with_its_doubts() -> None:
    document = har(entry("wss://a.example.com:8443/live?x=1", *TALK), entry("https://odd.example.com/", *TALK))
    result = import_har(document, ImportOptions(), "file.har")
    assert result.title == "a.example.com"
    assert [*result.endpoints] == ["a.example.com:8443/live"]
    assert {"name", "$comment", "tools", "feeds"}.isdisjoint(result.endpoints["a.example.com:8443/live"])
    assert result.endpoints["a.example.com:8443/live"]["url"] == "wss://a.example.com:8443/live"
    assert result.endpoints["a.example.com:8443/live"]["query"] == {"x": "1"}
    assert [each.name for each in result.skipped] == ["https://odd.example.com/"]
    assert result.skipped[0].reason
    assert result.notes == [
        "Names, descriptions and types of arguments are guesses, drafted from what was recorded: check each tool.",
        "What a tool changes cannot be known from messages: correct its annotations.",
    ]
    assert result.variables == {}


def test_a_file_whose_urls_are_all_odd_has_the_title_of_its_file() -> None:
    result = import_har(har(entry("https://odd.example.com/", *TALK)), ImportOptions(), "file.har")
    assert (result.title, result.endpoints, [*result.operations]) == ("file.har", {}, [])


def test_the_password_of_a_url_that_cannot_be_used_is_not_shown() -> None:
    result = import_har(har(entry("wss://u:p4ssword@a.example.com/", *TALK)), ImportOptions(), "file.har")
    (skipped,) = result.skipped
    assert skipped.name == "wss://a.example.com/"
    assert skipped.reason == 'the URL contains a user name or password. Use "auth"'


def test_events_of_a_conversation_are_a_feed_that_only_reads() -> None:
    news = [("receive", {"event": "news", "n": number}) for number in range(3)]
    result = import_har(har(entry("wss://a.example.com/live", *TALK, *news)), ImportOptions(), "file.har")
    kinds = [(each.tool is not None, each.feed is not None, each.endpoint) for each in result.operations]
    assert kinds == [(True, False, "a.example.com/live"), (False, True, "a.example.com/live")]
    assert result.operations[1].feed is not None
    assert (result.operations[1].name, result.operations[1].read_only) == (result.operations[1].feed["name"], True)


def test_a_tool_reads_if_its_name_says_so() -> None:
    talk = [(kind, {**data, **({"action": "getTime"} if "action" in data else {})}) for kind, data in TALK]
    result = import_har(har(entry("wss://a.example.com/live", *talk)), ImportOptions(), "file.har")
    assert [(each.name, each.read_only) for each in result.operations] == [("getTime", True)]
    other = import_har(har(entry("wss://a.example.com/live", *TALK)), ImportOptions(), "file.har")
    assert [(each.name, each.read_only) for each in other.operations] == [("time", False)]


def test_a_short_secret_of_a_login_is_a_variable_of_the_draft() -> None:
    login = (("send", {"action": "login", "password": "abcde"}), ("receive", {"action": "welcome"}))
    result = import_har(har(entry("wss://a.example.com/live", *login, *TALK)), ImportOptions(), "file.har")
    assert result.variables == {"PASSWORD": "a secret of the recording"}
    assert "abcde" not in json.dumps(result.endpoints)


def test_the_variables_of_a_recording_are_those_that_it_mentions() -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    used = ("send", {"id": 3, "action": "say", "text": f"my {TOKEN}"})
    login = ("send", {"action": "login", "password": "p" * 9})
    result = import_har(
        har(entry("wss://a.example.com/live", login, *TALK, used, headers=headers)), ImportOptions(), "file.har"
    )
    assert {*result.variables.values()} == {"a secret of the recording"}
    assert {"AUTHORIZATION", "PASSWORD"} <= {*result.variables}


def test_secrets_of_one_name_are_different_variables_and_each_is_for_its_host() -> None:
    one = entry("wss://a.example.com/x?token=aaaaaaaaaa1", *TALK, headers={"Cookie": "sid=of-a-0123456789"})
    other = entry("wss://b.example.com/x?token=bbbbbbbbbb2", *TALK, headers={"Cookie": "sid=of-a-0123456789"})
    result = imported(har(one, other), url=None)
    first, second = entries(result.manifest)
    assert [first["url"], second["url"]] == ["wss://a.example.com/x", "wss://b.example.com/x"]
    assert [first["query"], second["query"]] == [{"token": "${TOKEN}"}, {"token": "${TOKEN_2}"}]
    assert result.description.variables == {
        "TOKEN": "a secret of the recording, for a.example.com",
        "COOKIE": "a secret of the recording, for a.example.com, b.example.com",
        "TOKEN_2": "a secret of the recording, for b.example.com",
    }


def test_two_secrets_of_one_name_at_one_endpoint_are_two_variables() -> None:
    login = (("send", {"action": "login", "token": "bbbbbbbbbb2"}), ("receive", {"action": "welcome"}))
    result = imported(har(entry("wss://a.example.com/x?token=aaaaaaaaaa1", *login, *TALK)), url=None)
    assert (result.manifest["url"], result.manifest["query"]) == ("wss://a.example.com/x", {"token": "${TOKEN}"})
    assert result.manifest["on_connect"][0]["send"]["token"] == "${TOKEN_2}"
    assert [*result.description.variables] == ["TOKEN", "TOKEN_2"]


def test_a_page_that_polled_before_it_used_socketio_over_websocket_becomes_a_session_of_its_own() -> None:
    talk = (
        ("send", "2probe"),
        ("receive", "3probe"),
        ("send", "5"),
        ("receive", '42["news",{"x":1}]'),
        ("send", '420["ask",{"q":"a"}]'),
        ("receive", '430[{"answer":"b"}]'),
        ("receive", "2"),
        ("send", "3"),
        ("receive", '42["news",{"x":2}]'),
    )
    url = "wss://a.example.com/socket.io/?EIO=4&transport=websocket&t=Pk1&sid=h8-zMqX6PbHXUQkWAAAB"
    result = imported(har(entry(url, *talk)), url=None)
    assert result.manifest["url"] == "wss://a.example.com/socket.io/"
    assert result.manifest["query"] == {"EIO": "4", "transport": "websocket"}
    assert result.manifest["preset"] == "socketio4"
    assert [*tools(result)] == ["ask"]
    assert [feed["name"] for feed in result.manifest["feeds"]] == ["news"]
    assert result.description.variables == {}
