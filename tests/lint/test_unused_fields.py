"""Fields, options and variables without effect, and those that look like it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .test_feeds import feed, feeds, places_of
from .test_lint import entry, tool, warnings_of

NONE = "field-without-effect"
ENDED = {"fail_message": "message.why"}
PLAIN = {"plaintext": True, "allow": ["private"]}
OAUTH = {"auth_type": "oauth2", "token_url": "https://a.b/", "client_id": "i", "client_secret": "s", "scope": "s"}
LISTEN = {"listen": True}
WATCHED = {"match": "message.q == args.q"}


def sent(**fields: Any) -> dict[str, Any]:
    """Return a tool that uses its argument."""
    return tool(message="{{ args.q }}", **fields)


FIELDS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an error message with an error": (entry(reply={"error": "message.e", "error_message": "message.m"}), []),
    "more messages of a call that sends one": (entry(sent(then=["x"])), []),
    "a last item with a last message": (
        entry(stream={"include_last": True, "item": "message.x", "until": "message.end", "max_items": 2}), []
    ),
    "a last item of no stream": (entry(stream={"on": False, "include_last": True}), []),
    "a stream that is switched off": (entry(sent(reply="none", stream=False)), []),
    **{
        f"{name} of no reply": (
            entry(sent(reply={"none": True, name: value})), [f"tools[0].tool_call_template.reply.{name}"]
        )
        for name, value in (("result", "message.x"), ("error", "message.x"), ("ack", "message.x"), ("cancel", {"a": 1}))
    },
    "a rule of the template for no reply": (entry(message="x", reply={"none": True, "error": "message.x"}), [
        "reply.error", "tools[0].inputs.properties.q"
    ]),
    "a rule of a preset for no reply": (entry(sent(reply={"none": True, "error": "message.x"}), preset="jsonrpc2"), []),
    "no TLS": (entry(url="ws://127.0.0.1/"), []),
    "TLS": (entry(tls={"ca_file": "c.pem"}), []),
    "a client key with its certificate": (entry(tls={"client_key": "k.pem", "client_cert": "c.pem"}), []),
    "a client certificate alone": (entry(tls={"client_cert": "c.pem"}), []),
    "plain text over TLS": (entry(network=PLAIN), ["network.plaintext"]),
    "plain text of a login": (
        entry(network=PLAIN, before_connect=[{"http": {"url": "http://a.home.arpa/"}}]), []
    ),
    "encrypted requests of a login": (
        entry(network=PLAIN, before_connect=[{"http": {"url": "https://a.b/"}}]), ["network.plaintext"]
    ),
    "plain text of a step behind the connection": (
        entry(network=PLAIN, on_connect=[{"send": "x"}, {"http": {"url": "http://a.home.arpa/"}}]), []
    ),
    "plain text before a message": (
        entry(sent(before_message=[{"http": {"url": "http://a.home.arpa/"}}], network=PLAIN)), []
    ),
    "plain text for a token": (
        entry(network=PLAIN, auth={**OAUTH, "token_url": "http://a.home.arpa/token"}), []
    ),
    "an encrypted request for a token": (entry(network=PLAIN, auth=OAUTH), ["network.plaintext"]),
    "a timeout of pings": (entry(limits={"ping_interval": 5, "ping_timeout": 5}), []),
    "the usual pings": (entry(limits={"ping_timeout": 5}), []),
    "no pings": (entry(limits={"ping_interval": 0}), []),
    "the text of a failure": (entry(fail_when="message.end", **ENDED), []),
    "a session of one connection": (
        entry(
            session_identity="session.page", limits={"max_connections": 1},
            on_connect=[{"expect": "message.p", "capture": {"page": "message.p"}}], ignore="true",
        ),
        [],
    ),
    "a session of a preset": (entry(sent(), preset="cdp", session_identity="session.session_id"), []),
    "concurrent calls": (entry(sent(reply={"concurrent": True, "match": "message.q == args.q"})), []),
    "a message for several calls": (
        entry(sent(reply={"answers_all": True, "match": "args.q in message.keys"})), []
    ),
    "a cancel message of a call": (
        entry(sent(reply={"match": "message.q == args.q", "cancel": {"stop": 1}})), []
    ),
    "a cancel message of a preset's call": (
        entry(tool(**LISTEN, reply={"match": "message.q == args.q", "cancel": {"stop": 1}}), preset="jsonrpc2"), []
    ),
    "a cancel message of a stream that began with a message": (
        entry(sent(stream={**WATCHED, "cancel": {"stop": 1}})), []
    ),
    "a cancel message of a listener with a connection of its own": (
        entry(tool(**LISTEN, keep_alive=False, stream={**WATCHED, "cancel": {"stop": 1}})), []
    ),
    "a cancel message of no stream": (
        entry(tool(**LISTEN, reply=WATCHED, stream={"on": False, "cancel": {"stop": 1}})), []
    ),
    "items after a reply": (
        entry(sent(reply={"match": "message.a"}, stream={"match": "message.b", "after_reply": True})), []
    ),
    "items after a reply that is not compared": (
        entry(sent(stream={"match": "message.b", "after_reply": True, "max_items": 2})),
        ["tools[0].tool_call_template.stream.after_reply"],
    ),
    "items of replies after a reply": (
        entry(sent(reply={"match": "message.a"}, stream={"after_reply": True, "max_items": 2})),
        ["tools[0].tool_call_template.stream.after_reply"],
    ),
    "a heartbeat without a timeout": (entry(heartbeat={"every": 5, "send": "p"}, ignore="message == 'p'"), []),
    "a heartbeat with an answer": (
        entry(heartbeat={"every": 5, "send": "p", "timeout": 3, "expect": "message == 'p'"}), []
    ),
    "a field of the template and of a tool": (
        entry(
            sent(reply={"error_message": "message.e"}), {**sent(), "name": "u"}, reply={"error_message": "message.m"}
        ),
        ["reply.error_message", "tools[0].tool_call_template.reply.error_message"],
    ),
    "a result of a tool without a stream": (entry(sent(reply={"result": "message.x"})), []),
    "a result of a tool whose stream has the items of the template": (
        entry(sent(reply={"result": "message.x"}), stream={"max_items": 2, "item": "message.y"}),
        ["tools[0].tool_call_template.reply.result"],
    ),
    "a result of a tool whose stream returns results": (
        entry(sent(reply={"result": "message.x"}, stream={"max_items": 2})), []
    ),
    "a failure of a step that reads": (
        entry(on_connect=[{"expect": "message.ok", "fail": "message.no"}], ignore="true"), []
    ),
    "a failure of a step that is reported": (
        entry(on_connect=[{"expect": "message.a", "fail": "message.b", "fail_message": "message.c"}], ignore="true"), []
    ),
    "a failure of a second step that sends": (
        entry(on_connect=[{"expect": "message.ok"}, {"send": "x", "fail": "message.no"}], ignore="true"),
        ["on_connect[1].fail"],
    ),
    "a counter that a message uses": (
        entry(
            tool(message={"id": "{{ request_id }}", "q": "{{ args.q }}"}, reply={"match": "message.id == request_id"}),
            request_id="counter",
        ),
        [],
    ),
    "a counter of a login": (
        entry(request_id="counter", on_connect=[{"send": {"id": "{{ next_id() }}"}}]), []
    ),
    "options of discovery without it": (
        entry(max_tools=5, pin="tofu", allow_origins=["wss://a.b"]), ["allow_origins", "max_tools", "pin"]
    ),
    "options of a discovery": ({"name": "m", "url": "wss://a.b/", "max_tools": 5, "pin": "tofu"}, []),
    "patterns of a discovery": ({"name": "m", "url": "wss://a.b/", "exclude_tools": ["z*"]}, []),
}  # fmt: skip


@pytest.mark.parametrize(("document", "expected"), FIELDS.values(), ids=FIELDS)
def test_a_field_is_reported_only_if_it_has_no_effect(
    document: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    found = places_of(document, tmp_path)
    assert [path for path, code in found if code in (NONE, "argument-not-used")] == expected


PATTERNS = "pattern-matches-nothing"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (entry(include_tools=["t"]), []),
        (entry(include_tools=["t", "x", "T"]), [("include_tools[1]", PATTERNS), ("include_tools[2]", PATTERNS)]),
        (entry(exclude_tools=["x"], include_tools=["*"]), [("exclude_tools[0]", PATTERNS)]),
        (entry(exclude_tools=["*"]), [("tools", "no-tools-offered")]),
        (feeds(feed(), exclude_tools=["g_*"]), [("exclude_tools[0]", PATTERNS)]),
        (feeds(feed(), include_tools=["f_events"]), []),
        (feeds(feed(), include_tools=["*_events", "*_latest"]), [("include_tools[1]", PATTERNS)]),
        (feeds(feed(key="message.n"), exclude_tools=["*_latest"]), []),
        (entry(feeds=[feed()], exclude_tools=["f_*"]), []),
    ],
    ids=str,
)  # fmt: skip
def test_a_pattern_is_reported_if_it_matches_no_tool_and_no_feed(
    document: dict[str, Any], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert places_of(document, tmp_path) == expected


UNUSED = "variable-not-used"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (entry(variables={"A": "x"}, headers={"X": "${A}"}), []),
        (entry(variables={"A": "x", "B": "y"}, headers={"X": "{{ vars.B }}"}), [("variables.A", UNUSED)]),
        (entry(variables={"m_A": "x"}, headers={"X": "$A"}), []),
        (entry(variables={"n_A": "x"}, headers={"X": "$A"}), [("variables.n_A", UNUSED)]),
        (entry(variables={"A": "${B}", "B": "x"}, headers={"X": "${A}"}), [("variables.B", UNUSED)]),
        (entry(variables={"OBS_PASSWORD": "${X}"}, preset="obs5"), []),
        ({"manual_call_templates": [{"name": "m", "url": "wss://a.b/"}], "variables": {"m_A": "x", "n_A": "y"}}, [
            ("variables.n_A", UNUSED)
        ]),
        ({"manual_call_templates": [entry()], "variables": {"m_A": "x"}}, [("variables.m_A", UNUSED)]),
        ([entry(headers={"X": "${A}"})], []),
    ],
    ids=str,
)  # fmt: skip
def test_a_variable_is_reported_if_nothing_can_refer_to_it(
    document: Any, expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    lines = warnings_of(document, tmp_path, {"A": "a", "X": "y", "OBS_PASSWORD": "p", "m_A": "a"})
    found = [(line.partition(":")[0], line.rpartition("[")[2].rstrip("]")) for line in lines]
    assert found == expected


@pytest.mark.parametrize(("protocol", "codes"), [(None, ["subprotocol-missing"]), ("mqtt", [])])
def test_mqtt_needs_a_subprotocol(protocol: str | None, codes: list[str], tmp_path: Path) -> None:
    fields = {} if protocol is None else {"protocol": protocol}
    assert [code for _, code in places_of(entry(framing={"codec": "mqtt"}, **fields), tmp_path)] == codes
