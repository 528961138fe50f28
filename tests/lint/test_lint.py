"""Likely problems of valid manifests."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.lint import RULES, lint_manifest
from utcp_ws_mcp.lint.host_limits import NOTES, host_notes
from utcp_ws_mcp.lint.input_schemas import check_inputs
from utcp_ws_mcp.manifest.source_map import SourceMap

URL = "wss://example.com/"
TEXT = {"type": "object", "properties": {"q": {"type": "string"}}}
TOOL: dict[str, Any] = {"name": "t", "description": "Ask.", "inputs": TEXT}


def warnings_of(document: Any, folder: Path, environ: dict[str, str]) -> list[str]:
    file = folder / "m.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return [str(problem) for problem in lint_manifest(document, load_manifest(file, environ=environ))]


def entry(*tools: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "m", "url": URL, "tools": list(tools or [TOOL]), **fields}


def tool(**template: Any) -> dict[str, Any]:
    return {**TOOL, "tool_call_template": template}


HTTP = {"url": "https://a.b/"}
EVENTS = {"name": "f", "description": "Events.", "match": "message.n is defined"}
FINDINGS: dict[str, tuple[Any, str, str]] = {
    "a value of a request that nothing uses": (
        entry(tool(message="{{ args.q }}", before_message=[{"http": HTTP, "capture": {"j": "body"}}])),
        "tools[0].tool_call_template.before_message[0].capture.j: let.j is never used",
        "let-not-used",
    ),
    "an argument of a request that is not declared": (
        entry(tool(message="{{ args.q }}", before_message=[{"http": {"url": "https://a.b/{{ args.x }}"}}])),
        "the argument 'x' is used here, but not declared",
        "argument-not-declared",
    ),
    "a key in plain text": (
        entry(auth={"auth_type": "api_key", "api_key": "abc"}),
        'auth.api_key: this is a secret in plain text. Write "${NAME}", and set NAME',
        "secret-in-manifest",
    ),
    "a password in a login": (
        entry(on_connect=[{"send": {"userPassword": "x"}}]), "on_connect[0].send.userPassword:", "secret-in-manifest"
    ),
    "a header in plain text": (
        entry(headers={"Authorization": "Bearer abc"}), "headers.Authorization: this is", "secret-in-manifest"
    ),
    "a token in a query": (entry(url="wss://example.com/?access_token=abcdef"), "url: this", "secret-in-manifest"),
    "a key in a field of the query": (
        entry(query={"v": "1", "key": "abcdef"}), "query.key: this is a secret in plain text", "secret-in-manifest"
    ),
    "an argument in the URL that may be missing": (
        entry(TOOL, message="x", url=URL + "?q={{ args.q }}"),
        "url: the argument 'q' may be missing, and a call without it fails because of the URL. Write the parameter",
        "argument-in-url",
    ),
    "a key of a well-known form": (
        entry(tool(message="LOGIN sk-abcdefghijklmnopqrstuvwx UTCP_ARG_q_UTCP_ARG")),
        "tools[0].tool_call_template.message: this is a secret",
        "secret-in-manifest",
    ),
    "a token among the variables": (
        entry(variables={"TOKEN": "abc"}, headers={"X": "${TOKEN}"}), "variables.TOKEN:", "secret-in-manifest"
    ),
    "a pin among the variables": (
        entry(variables={"pin": "1234"}, headers={"X": "${pin}"}), "variables.pin:", "secret-in-manifest"
    ),
    "a client key in a message": (
        entry(tool(message={"client-key": "0123", "q": "{{ args.q }}"})), "message.client-key:", "secret-in-manifest"
    ),
    "a variable that is not used": (
        entry(variables={"REGIO": "eu"}, headers={"X": "${REGION}"}),
        "variables.REGIO: nothing refers to this variable. Did you mean 'REGION'?",
        "variable-not-used",
    ),
    "plain text over a network": (
        entry(url="ws://example.com/", network={"plaintext": True}),
        "url: ws:// is not encrypted: everyone on the network path can read",
        "plaintext-transport",
    ),
    "plain text of one tool": (
        entry(tool(url="ws://example.com/", network={"plaintext": True})),
        "tools[0].tool_call_template.url: ws:// is not encrypted",
        "plaintext-transport",
    ),
    "any certificate": (
        entry(tls={"insecure": True}), "tls.insecure: any certificate is accepted", "insecure-tls"
    ),
    "certificates without TLS": (
        entry(url="ws://localhost/", tls={"ca_file": "c.pem"}),
        "tls: has no effect with a ws:// url. Did you mean wss://?",
        "field-without-effect",
    ),
    "plain text that is not used": (
        entry(network={"plaintext": True}),
        "network.plaintext: has no effect with a wss:// url. Remove it.",
        "field-without-effect",
    ),
    "a client key without its certificate": (
        entry(tls={"client_key": "key.pem"}),
        'tls.client_key: has no effect without "client_cert".',
        "field-without-effect",
    ),
    "a timeout of pings that are not sent": (
        entry(limits={"ping_interval": 0, "ping_timeout": 5}),
        'limits.ping_timeout: has no effect with "ping_interval": 0',
        "field-without-effect",
    ),
    "a tool without a description": (entry({"name": "t"}), 'm.t has no "description"', "description-missing"),
    "an argument that is not sent": (
        entry(tool(message={"a": 1})),
        "the argument 'q' is declared, but never used. Put UTCP_ARG_q_UTCP_ARG into the message, or remove it.",
        "argument-not-used",
    ),
    "an argument that is not declared": (
        entry(tool(message="UTCP_ARG_q_UTCP_ARG {{ args.quer }}")),
        "the argument 'quer' is used here, but not declared, so no model will provide it.",
        "argument-not-declared",
    ),
    "arguments that are no properties of a schema": (
        entry({**TOOL, "inputs": {"book": {"type": "string"}}, "tool_call_template": {"message": "{{ args.book }}"}}),
        'in which "book" has no meaning. Write {"type": "object", "properties": {"book": …}}.',
        "inputs-without-properties",
    ),
    "arguments of a feed that are no properties of a schema": (
        entry(feeds=[{**EVENTS, "match": "message.room == args.room", "inputs": {"room": {"type": "string"}}}]),
        'feeds[0].inputs: "inputs" is a JSON Schema, in which "room" has no meaning.',
        "inputs-without-properties",
    ),
    "an argument in the URL that is not declared": (
        entry(url="wss://example.com/{{ args.room }}"),
        "url: the argument 'room' is used here, but not declared, so no model will provide it. Declare it in",
        "argument-not-declared",
    ),
    "an argument in a header of one tool that is not declared": (
        entry(tool(message="{{ args.q }}", headers={"X-Room": "{{ args.room }}"})),
        "tools[0].tool_call_template.headers: the argument 'room'",
        "argument-not-declared",
    ),
    "none of the arguments of a preset": (
        entry(preset="graphql-transport-ws"), "the argument 'query' is used here", "argument-not-declared"
    ),
    "an argument of a later message that is not declared": (
        entry(message="a", then=["{{ args.zone }}"]), "the argument 'zone' is used here", "argument-not-declared"
    ),
    "an id that is not compared": (
        entry(tool(message={"id": "{{ request_id }}", "q": "{{ args.q }}"})),
        'although it sends an ID. Compare it in "reply.match"',
        "request-id-not-matched",
    ),
    "an id that is compared and not sent": (
        entry(tool(message={"q": "{{ args.q }}"}, reply={"match": "message.id == request_id"})),
        'm.t waits for a reply with its request ID, but sends none. Put "{{ request_id }}" into the message.',
        "request-id-not-sent",
    ),
    "an id that is compared and sent only at the login": (
        entry(
            tool(message={"q": "{{ args.q }}"}, reply={"match": "message.id == request_id"}),
            on_connect=[{"send": {"id": "{{ request_id }}"}, "request_id": True}],
        ),
        "m.t waits for a reply with its request ID, but sends none",
        "request-id-not-sent",
    ),
    "an id that is compared in a tool that sends nothing": (
        entry(tool(listen=True, stream={"item": "args.q"}), preset="jsonrpc2"),
        'm.t sends nothing, so no message has its request ID. Set "reply.match" or "stream.match".',
        "listener-needs-match",
    ),
    "an argument of a tool that only listens": (
        entry(tool(listen=True, stream={"match": "message.x"})),
        "the argument 'q' is declared, but never used. Compare args.q in a predicate, or remove it.",
        "argument-not-used",
    ),
    "replies at an endpoint that greets": (
        entry(on_connect=[{"expect": "message.hi"}]), "sends the first message", "ambiguous-reply"
    ),
    "replies beside captured messages": (
        entry(capture=[{"match": "message.s", "set": {"seq": "message.s"}}], message={"s": "{{ session.seq }}"}),
        '"capture" shows that other messages arrive',
        "ambiguous-reply",
    ),
    "replies beside heartbeats": (
        entry(heartbeat={"every": 5, "send": "ping"}), 'the answers to "heartbeat" arrive as well', "ambiguous-reply"
    ),
    "replies beside messages that are answered and kept": (
        entry(auto_reply=[{"match": "message.n", "send": "ok", "keep": True}]),
        '"auto_reply" shows that other messages arrive',
        "ambiguous-reply",
    ),
    "concurrent calls that nothing distinguishes": (
        entry(tool(message="{{ args.q }}", reply={"match": "message.kind == 'answer'", "concurrent": True})),
        '"concurrent" lets calls share a connection, but "match" is the same for all of them.',
        "concurrent-not-distinguished",
    ),
    "concurrent calls without match": (
        entry(tool(message="{{ args.q }}", reply={"concurrent": True}, ignore="message.tick")),
        'reply.concurrent: has no effect without "match"',
        "field-without-effect",
    ),
    "a message for all calls": (
        entry(tool(message="{{ args.q }}", reply={"match": "message.kind == 'answer'", "answers_all": True})),
        '"answers_all" gives each message to all calls, because "match" is the same for all of them.',
        "concurrent-not-distinguished",
    ),
    "a message for a range of calls": (
        entry(
            tool(message={"id": "{{ request_id }}", "q": "{{ args.q }}"}, reply={"match": "message.to >= request_id"})
        ),
        "a message answers a range of requests here, and only the first call that waits gets it.",
        "answers-first-only",
    ),
    "answers to all without match": (
        entry(tool(message="{{ args.q }}", reply={"answers_all": True}, ignore="message.tick")),
        'reply.answers_all: has no effect without "match"',
        "field-without-effect",
    ),
    "answers to all of one call": (
        entry(
            tool(
                message={"id": "{{ request_id }}", "q": "{{ args.q }}"},
                reply={"match": "message.id == request_id", "answers_all": True},
            )
        ),
        'reply.answers_all: has no effect where "match" compares a part of the message with request_id',
        "field-without-effect",
    ),
    "the text of a failure that nothing detects": (
        entry(fail_message="message.why"), 'fail_message: has no effect without "fail_when"', "field-without-effect"
    ),
    "a session of several connections": (
        entry(session_identity="session.page"),
        'session_identity: has no effect without "limits": {"max_connections": 1}',
        "field-without-effect",
    ),
    "a listener that cancels nothing": (
        entry(tool(listen=True, stream={"match": "message.q == args.q", "cancel": {"stop": 1}})),
        'stream.cancel: has no effect with "listen": true on a shared connection',
        "field-without-effect",
    ),
    "a listener that cancels its reply": (
        entry(tool(listen=True, reply={"match": "message.q == args.q", "cancel": {"stop": 1}})),
        'reply.cancel: has no effect with "listen": true',
        "field-without-effect",
    ),
    "items after a reply that there is not": (
        entry(stream={"max_items": 2, "after_reply": True}),
        'stream.after_reply: has no effect without "stream.match" and "reply.match"',
        "field-without-effect",
    ),
    "an error message without error": (
        entry(reply={"error_message": "message.e"}), 'has no effect without "error"', "field-without-effect"
    ),
    "an error message of a tool without error": (
        entry(tool(reply={"error_message": "message.e"})),
        "tools[0].tool_call_template.reply.error_message: has no effect",
        "field-without-effect",
    ),
    "a heartbeat without an expected answer": (
        entry(heartbeat={"every": 5, "send": "p", "timeout": 3}, ignore="message == 'p'"),
        'heartbeat.timeout: has no effect without "expect"',
        "field-without-effect",
    ),
    "a stream without replies": (
        entry(message="hi", reply="none", stream={"max_items": 3}),
        'stream: has no effect with "reply": "none"',
        "field-without-effect",
    ),
    "a last item of a stream that has no last message": (
        entry(stream={"include_last": True, "item": "message.x"}),
        'stream.include_last: has no effect without "until".',
        "field-without-effect",
    ),
    "a result of a tool whose preset selects the item": (
        entry(tool(reply={"result": "message.data[1]"}, stream=True), preset="socketio4"),
        "reply.result: has no effect in a tool with a stream, whose item is \"stream.item\", here 'message.data'.",
        "field-without-effect",
    ),
    "a result of a tool that watches events": (
        entry(tool(listen=True, reply={"result": "message.q"}, stream={"match": "message.q == args.q"})),
        'whose item is the whole message; set "stream.item".',
        "field-without-effect",
    ),
    "a result without a reply": (
        entry(tool(message="hi", reply={"none": True, "result": "message.id"})),
        'tools[0].tool_call_template.reply.result: has no effect with "reply": "none"',
        "field-without-effect",
    ),
    "a value that is not defined": (
        entry(tool(message={"a": "{{ let.nonse }}", "q": "{{ args.q }}"}, let={"nonce": "uuid()"})),
        "tools[0].tool_call_template.message: let.nonse is used here, but not defined. Did you mean 'nonce'?",
        "let-not-defined",
    ),
    "a value that is not defined, in a result": (
        entry(tool(message="{{ args.q }}", reply={"result": "message.a ~ let.unit"})),
        "tools[0].tool_call_template.reply.result: let.unit is used here, but not defined. Add it to \"let\".",
        "let-not-defined",
    ),
    "a value that is not used": (
        entry(let={"nonce": "uuid()"}), "let.nonce: let.nonce is never used. Remove it.", "let-not-used"
    ),
    "a value of a tool that is not used": (
        entry(tool(message="{{ args.q }}", let={"nonce": "uuid()"})),
        "tools[0].tool_call_template.let.nonce: let.nonce is never used",
        "let-not-used",
    ),
    "more messages of a call that sends none": (
        entry(listen=True, then=["x"]),
        'then: has no effect with "listen": true, because nothing is sent.',
        "field-without-effect",
    ),
    "ids that are not used": (
        entry(request_id="counter"), "request_id: has no effect because no message", "field-without-effect"
    ),
    "a failure in a step that reads nothing": (
        entry(on_connect=[{"send": "hi", "fail": "message.error"}], ignore="true"),
        "on_connect[0].fail: has no effect in a step that sends. Move it to",
        "field-without-effect",
    ),
    "an error message of a login that cannot fail": (
        entry(on_connect=[{"expect": "message.ok", "fail_message": "message.why"}], ignore="true"),
        'on_connect[0].fail_message: has no effect without "fail"',
        "field-without-effect",
    ),
    "a captured value that is not used": (
        entry(on_connect=[{"expect": "message.hi", "capture": {"x": "message.x"}}], ignore="true"),
        "on_connect[0].capture.x: session.x is captured here, but never used. Remove it.",
        "session-value-not-used",
    ),
    "a value that is not captured": (
        entry(on_connect=[{"expect": "message.hi", "capture": {"me": "message.x"}}], message="{{ session.me }}",
              reply={"match": "message.src == session.mee"}, ignore="true"),
        "reply: session.mee is used here, but no message is captured for it. Did you mean 'me'?",
        "session-value-not-captured",
    ),
    "a value of a tool that is not captured": (
        entry(tool(message={"method": "session.new", "id": "{{ session.id }}"})),
        'tools[0].tool_call_template.message: session.id is used here, but no message is captured for it. Add it to a',
        "session-value-not-captured",
    ),
    "MQTT without its subprotocol": (
        entry(framing={"codec": "mqtt"}),
        'framing.codec: MQTT brokers refuse connections without their subprotocol. Add "protocol": "mqtt".',
        "subprotocol-missing",
    ),
    "a codec whose package is not installed": (
        entry(framing={"codec": "msgpack"}),
        "framing.codec: the codec 'msgpack' needs the extra 'msgpack', which is not installed. Run pip install",
        "package-missing",
    ),
    "an argument in XML": (
        entry(tool(message="<say>{{ args.q }}</say>")),
        "tools[0].tool_call_template.message: the argument 'q' is in XML, and a call with < and & in it fails. Write",
        "argument-not-escaped",
    ),
    "an argument in quotes": (
        entry(tool(message='SAY "{{ args.q }}"')),
        "the argument 'q' is in quotes, and a call with quotes in it fails. Write {{ args.q | to_json }} without",
        "argument-not-escaped",
    ),
    "slices of an argument of any length": (
        entry(tool(message="{{ args.q[:65536] }}", then=["{{ args.q[65536:131072] }}"], reply="none")),
        "message: the slices send only the first 131,072 of args.q, and a call with more fails. Send pieces",
        "argument-in-slices",
    ),
    "slices of a computed value": (
        entry(tool(message="{{ let.v[:9] }}", then=["{{ let.v[9:18] }}"], reply="none", let={"v": "args.q | upper"})),
        "message: the slices send only the first 18 of let.v, and a call with more fails. Send pieces",
        "argument-in-slices",
    ),
    "options of a discovery that does not happen": (
        entry(max_tools=5), "max_tools: has no effect because all tools are listed", "field-without-effect"
    ),
    "a pattern without tools": (
        entry(exclude_tools=["z*"]), "exclude_tools[0]: the pattern 'z*' matches no tool.", "pattern-matches-nothing"
    ),
    "no tools at all": (entry(include_tools=["z*"]), "tools: the call template offers no tool.", "no-tools-offered"),
    "a feed that keeps the only connection from calls": (
        entry(limits={"max_connections": 1}, feeds=[EVENTS]),
        "feeds[0].name: m.t needs a connection for itself, and the feed f keeps the only one: calls would time out",
        "feed-occupies-connection",
    ),
    "a feed that keeps the only connection from calls that close theirs": (
        entry(tool(keep_alive=False), preset="jsonrpc2", limits={"max_connections": 1}, feeds=[EVENTS]),
        "m.t needs a connection for itself",
        "feed-occupies-connection",
    ),
    "a feed whose events are replies": (
        entry(preset="jsonrpc2", feeds=[{**EVENTS, "match": "message.method is not defined"}]),
        'feeds[0].match: "match" of the feed f is also true for replies to m.t, which would be events. Compare',
        "feed-takes-replies",
    ),
    "a feed whose events are replies in arrays": (
        entry(message=["{{ request_id }}"], reply={"match": "message[1] == request_id"},
              feeds=[{**EVENTS, "match": "message[1] is defined"}]),
        "is also true for replies to m.t",
        "feed-takes-replies",
    ),
    "a feed that takes the events of another": (
        entry(feeds=[EVENTS, {**EVENTS, "name": "g", "match": "message.n is not defined"}]),
        'feeds[1].match: "match" of the feed g is true for any message, also for events of the other feeds.',
        "feed-match-too-broad",
    ),
    "a feed that takes the answers to the heartbeat": (
        entry(heartbeat={"every": 9, "send": "a", "expect": "message.pong"}, feeds=[{**EVENTS, "match": "true"}]),
        "is true for any message, also for answers to the heartbeat. Compare a field.",
        "feed-match-too-broad",
    ),
    "a refusal that any message of a login is": (
        entry(on_connect=[{"expect": "message.id == request_id", "fail": "not message.ok"}]),
        "on_connect[0].fail: is also true for messages that have not the field that it tests, such as events: the fir",
        "login-fail-too-broad",
    ),
    "a refusal that no step of a feed expects": (
        entry(feeds=[{**EVENTS, "open": [{"expect": "message.op == 'subscribed'", "fail": "message.op == 'error'"}]}]),
        "feeds[0].open[0].fail: is asked only about the message that \"expect\" selects, in which message.op is 'su",
        "feed-fail-never-true",
    ),
    "an error that each event of a feed is": (
        entry(feeds=[{**EVENTS, "open": [{"expect": "message.hi"}]}], reply={"error": "not message.ok"}),
        "reply.error: is also true for events of the feed f, which have not the field that it tests: each would say t",
        "feed-error-too-broad",
    ),
    "a feed that never unsubscribes": (
        entry(feeds=[{**EVENTS, "open": [{"send": "on"}]}]),
        'feeds[0].open: the feed f is opened by a message, and has no "close"',
        "feed-not-closed",
    ),
    "a feed that is closed after each read": (
        entry(feeds=[{**EVENTS, "linger": 0}]),
        'feeds[0].linger: the feed f is closed 0 s after each read ("linger")',
        "feed-not-kept",
    ),
    "a feed without a description": (
        entry(feeds=[{"name": "f", "match": "message.n"}]),
        'feeds[0].name: the feed f has no "description". Models choose its tools by it; add one.',
        "description-missing",
    ),
    "an argument of a feed that is not declared": (
        entry(feeds=[{**EVENTS, "match": "message.n == args.nn", "inputs": {"properties": {"n": {}}}}]),
        "feeds[0]: the argument 'nn' is used here, but not declared, so no model will provide it. Did you mean 'n'?",
        "argument-not-declared",
    ),
    "an argument of a feed that is not used": (
        entry(feeds=[{**EVENTS, "inputs": {"properties": {"n": {}}}}]),
        "feeds[0].inputs.properties.n: the argument 'n' is declared, but never used: all values have the same events.",
        "argument-not-used",
    ),
    "a value of a session that a feed uses and nothing captures": (
        {"name": "m", "url": URL, "feeds": [{**EVENTS, "match": "message.n == session.me"}]},
        'feeds[0]: session.me is used here, but no message is captured for it. Add it to a "capture".',
        "session-value-not-captured",
    ),
    "a feed that is open anyway and lingers": (
        entry(feeds=[{**EVENTS, "start": "start", "linger": 9}]),
        'feeds[0].linger: has no effect with "start": "start", which keeps the feed open.',
        "field-without-effect",
    ),
    "instances of a feed without arguments": (
        entry(feeds=[{**EVENTS, "max_instances": 9}]),
        "feeds[0].max_instances: has no effect without arguments.",
        "field-without-effect",
    ),
    "what no feed has in common": (
        entry(preset="mopidy", feed_defaults={"size": 9}),
        "feed_defaults: has no effect without feeds.",
        "field-without-effect",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "message", "code"), FINDINGS.values(), ids=FINDINGS)
def test_a_likely_problem_is_reported_with_its_code(
    document: Any, message: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if code == "package-missing":
        monkeypatch.setitem(sys.modules, "msgpack", None)
    reported = warnings_of(document, tmp_path, {"REGION": "eu"})
    assert [line for line in reported if message in line and line.endswith(f" [{code}]")] != [], reported


NEEDS = {
    "a filter": ({"message": "{{ args.q | to_cbor | base64 }}"}, "cbor2", "the filter to_cbor", "cbor"),
    "a filter in a reply": ({"reply": {"result": "message | from_msgpack"}}, "msgpack", "from_msgpack", "msgpack"),
    "a compression": (
        {"framing": {"compression": "zstd"}}, "backports.zstd", "framing.compression: the compression 'zstd'", "zstd",
    ),
    "a proxy": ({"proxy": "socks5://proxy.example.com:1080"}, "python_socks", "proxy: a SOCKS proxy", "proxy"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "module", "what", "extra"), NEEDS.values(), ids=NEEDS)
def test_a_package_that_is_needed_is_missed_only_where_it_is_not_installed(
    fields: dict[str, Any], module: str, what: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = entry(tool(**{"message": "{{ args.q }}", "reply": "none", **fields}))
    assert [line for line in warnings_of(document, tmp_path, {}) if "package-missing" in line] == []
    for missing in (module, "compression.zstd"):  # Python 3.14 has the latter
        monkeypatch.setitem(sys.modules, missing, None)
    (warning,) = [line for line in warnings_of(document, tmp_path, {}) if "package-missing" in line]
    assert what in warning
    assert f"Run pip install 'utcp-ws-mcp[{extra}]'." in warning


def test_a_text_that_names_a_filter_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    document = entry(tool(message="{{ args.q ~ 'to_msgpack' }}"))
    assert [line for line in warnings_of(document, tmp_path, {}) if "package-missing" in line] == []


def test_a_feed_is_checked_as_well_as_the_tools_beside_it(tmp_path: Path) -> None:
    feed = {"name": "f", "description": "Events.", "match": "message.n is defined", "key": "message.n"}
    assert warnings_of({"name": "m", "url": URL, "feeds": [feed]}, tmp_path, {}) == []
    found = warnings_of(entry({"name": "t", "inputs": TEXT}, feeds=[feed]), tmp_path, {})
    assert [each for each in found if "description" in each]


def test_arguments_that_are_no_properties_are_not_said_to_be_undeclared(tmp_path: Path) -> None:
    wrong = FINDINGS["arguments that are no properties of a schema"][0]
    (only,) = warnings_of(wrong, tmp_path, {})
    assert "inputs-without-properties" in only


SCHEMAS_WITHOUT_PROPERTIES: list[dict[str, Any]] = [
    {},
    {"type": "object"},
    {"type": "object", "additionalProperties": {"type": "string"}},
    {"$defs": {"a": {"type": "string"}}, "x-order": {"a": 1}},
    {"title": "Anything", "patternProperties": {"^a": {"type": "string"}}},
]


@pytest.mark.parametrize("inputs", SCHEMAS_WITHOUT_PROPERTIES, ids=str)
def test_a_schema_without_properties_may_be_meant(inputs: dict[str, Any]) -> None:
    assert list(check_inputs(inputs, "tools[0]")) == []


def test_every_rule_has_a_finding_here() -> None:
    (duplicate,) = SourceMap('{"a": 1, "a": 2}').duplicate_keys
    assert {code for _, _, code in FINDINGS.values()} | {duplicate.code} == set(RULES)


def test_a_problem_of_all_tools_is_reported_once(tmp_path: Path) -> None:
    tools = [{**TOOL, "name": name} for name in ("a", "b", "c")]
    reported = warnings_of(entry(*tools, url="wss://example.com/{{ args.room }}"), tmp_path, {})
    assert sum("'room'" in line for line in reported) == 1


KIND = {"type": "object", "properties": {"q": {"enum": ["a", "b"]}}}
SHORT = {"type": "object", "properties": {"q": {"type": "string", "maxLength": 20}}}
CLEAN: dict[str, Any] = {
    "an escaped argument in XML": entry(tool(message="<say>{{ args.q | escape }}</say>")),
    "one of some texts in XML": entry({**tool(message="<say>{{ args.q }}</say>"), "inputs": KIND}),
    "an argument as JSON in a text": entry(tool(message="SAY {{ args.q | to_json }}")),
    "slices of a short argument": entry(
        {**tool(message="{{ args.q[:10] }}", then=["{{ args.q[10:20] }}"], reply="none"), "inputs": SHORT}
    ),
    "slices up to the end": entry(tool(message="{{ args.q[:10] }}", then=["{{ args.q[10:] }}"], reply="none")),
    "plain text in a network of one's own": entry(
        url="ws://hub.local/", network={"plaintext": True, "allow": ["private"]}
    ),
    "a message of a template of which a tool takes some arguments": entry(
        tool(), message={"q": "{{ args.q }}", "more": "{{ args.more }}"}
    ),
    "a message of a template of which a tool takes none of the arguments of others": entry(
        tool(), {**TOOL, "name": "u", "inputs": {"type": "object", "properties": {}}}, message={"q": "{{ args.q }}"}
    ),
    "a message at the end that needs a session": entry(
        on_disconnect=[{"when": "session.id is defined", "send": {"end": "{{ session.id }}"}}]
    ),
    "a stream without the value that only replies need": entry(
        tool(let=None, stream={"item": "message.x", "max_items": 2}, message="{{ args.q }}"),
        {**TOOL, "name": "u"},
        let={"n": "uuid()"}, message={"n": "{{ let.n }}", "q": "{{ args.q }}"}, reply={"result": "message[let.n]"},
    ),

    "secrets as variables": entry(
        auth={"auth_type": "api_key", "api_key": "${KEY}"},
        headers={"Cookie": "a={{ vars.KEY }}", "Authorization": "$KEY"},
        on_connect=[{"send": {"password": "{{ vars.KEY }}"}}],
    ),
    "a preset whose login is replaced": entry(
        preset="cdp", on_connect=[], message={"id": "{{ request_id }}", "method": "{{ args.q }}"}
    ),
    "a template that asks whether the session is another": entry(
        tool(message={"id": "{{ request_id }}", "q": "{{ args.q }}", "again": "{{ session.reconnected }}"}),
        on_connect=[{"expect": "message.page", "capture": {"page": "message.page"}}],
        reply={"match": "message.id == request_id"},
        session_identity="session.page",
        limits={"max_connections": 1},
    ),
    "a token that is taken out of an answer": entry(
        before_connect=[{"http": {"url": "https://a.b/"}, "capture": {"token": "body.token"}}],
        url="wss://example.com/?t={{ session.token }}",
    ),
    "an argument that is called token": entry(
        {**TOOL, "inputs": {"properties": {"token": {"type": "string"}}}, "tool_call_template": {"message": {
            "token": "UTCP_ARG_token_UTCP_ARG"}}}
    ),
    "a file of a key, and how tools are pinned": {
        "name": "m", "url": URL, "pin": "tofu", "tls": {"client_key": "k.pem", "client_cert": "c.pem"}
    },
    "plain text on this machine": entry(url="ws://127.0.0.1:80/", network={"plaintext": True}),
    "a name with dots": entry({**TOOL, "name": "core.play"}),
    "an argument that goes into a header": entry(tool(message="x", header_fields=["q"])),
    "all arguments at once": entry(tool(message="{{ args }}")),
    "a variable that only a manual from the network may use": {
        "manual_call_templates": [{"name": "m", "url": URL}], "variables": {"m_REGION": "eu"}
    },
    "a preset that keeps more than is used": entry(preset="webdriver-bidi"),
    "a request that nothing answers": entry(tool(reply="none"), preset="jsonrpc2"),
    "a preset whose requests nothing answers here": entry(preset="jsonrpc2", reply="none", message="{{ args.q }}"),
    "a notification without an id": entry(tool(message={"q": "{{ args.q }}"}, reply="none"), preset="jsonrpc2"),
    "an id in a text": entry(
        tool(message="{{ args.q }} {{ '%04d' | format(request_id) }}", reply={"match": "message.n == request_id"})
    ),
    "some of the arguments that a preset takes": entry(
        {**TOOL, "inputs": {"properties": {"query": {"type": "string"}}}}, preset="graphql-transport-ws"
    ),
    "a tool that listens beside a preset's ids": entry(
        tool(listen=True, stream={"match": "message.q == args.q"}), preset="jsonrpc2"
    ),
    "a session that is the endpoint's": entry(
        tool(
            message={"method": "session.new", "q": "{{ args.q }}"},
            reply={"match": "message.session.id == 'session.x'"},
        )
    ),
    "ids that a preset uses": entry(preset="jsonrpc2", request_id="counter"),
    "a value that a request of the call brings": entry(
        tool(
            listen=True,
            before_message=[
                {"http": {"url": "https://a.b/", "json": "{{ args.q }}"}, "capture": {"job": "body.id"},
                 "fail_message": "body.why"}
            ],
            reply={"match": "message.job == let.job"},
        )
    ),
    "plain text for a request at home": entry(
        network={"plaintext": True, "allow": ["private"]},
        before_connect=[{"http": {"url": "http://a.home.arpa/"}, "capture": {"t": "body.t"}}],
        url="wss://example.com/?t={{ session.t }}",
    ),
    "a message for a login over HTTP that fails": entry(
        on_connect=[{"http": {"url": "https://a.b/"}, "fail_message": "body.why"}]
    ),
    "the one feed of an endpoint that sends nothing else": {
        "name": "m", "url": URL, "feeds": [{**EVENTS, "match": "true"}]
    },
    "a feed beside calls that share its connection": entry(
        preset="jsonrpc2", limits={"max_connections": 1}, feeds=[{**EVENTS, "match": "message.method == 'said'"}]
    ),
    "feeds that differ by an argument or a captured value": entry(
        on_connect=[{"expect": "message.hi", "capture": {"s": "message.s"}}], ignore="true",
        feeds=[
            {**EVENTS, "match": "message.a == args.a", "inputs": {"properties": {"a": {}}}},
            {**EVENTS, "name": "g", "match": "message.s == session.s"},
        ],
    ),
    "a feed that opens with an argument of the login": {
        "name": "m", "url": URL + "{{ args.room }}",
        "feeds": [{**EVENTS, "inputs": {"properties": {"room": {}}, "required": ["room"]}}],
    },
    "a subscription that cannot be ended, of a feed that stays open": entry(
        feeds=[{**EVENTS, "open": [{"send": "on"}], "start": "start"}]
    ),
    "a preset whose feeds cannot unsubscribe": entry(preset="cdp", feeds=[{"name": "A.b", "description": "Events."}]),
    "a preset with feeds that are not used": entry(preset="mopidy"),
}  # fmt: skip


@pytest.mark.parametrize("document", CLEAN.values(), ids=CLEAN)
def test_what_is_well_written_gets_no_warnings_of(document: Any, tmp_path: Path) -> None:
    assert warnings_of(document, tmp_path, {"KEY": "k"}) == []


HINTS = {"annotations": {"readOnlyHint": True}, "description": "Ask."}


def note_tool(name: str = "t", **changes: Any) -> dict[str, Any]:
    return {"name": name, **HINTS, **changes}


def inputs_of(**properties: Any) -> dict[str, Any]:
    return {"inputs": {"type": "object", "properties": properties}}


TREE = {"$defs": {"t": {"type": "object", "properties": {"below": {"$ref": "#/$defs/t"}}}}}
NOTED: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "a key of a protocol": (
        [note_tool(tool_call_template={"message": {"a": [{"$type": "x"}]}})],
        "the key '$type' in the message of m.t is sent as it is. Keys with a meaning: $each, $template, $raw, ",
        "message-key-unknown",
    ),
    "no annotations": (
        [note_tool(annotations={})],
        'm.t has no "annotations". Codex and Copilot',
        "annotations-missing",
    ),
    "several without": (
        [note_tool(n, annotations={}) for n in "abcde"],
        "holds for b, c, d and 1 more.",
        "annotations-missing",
    ),
    "a long description": ([note_tool(description="x" * 1025)], "has 1,025 characters. OpenAI's", "description-long"),
    "no type": ([note_tool(**inputs_of(a={}))], "the argument 'a' of m.t has no \"type\"", "argument-untyped"),
    "no type below": (
        [note_tool(**inputs_of(a={"type": "array", "items": {"type": "object", "properties": {"b": True}}}))],
        "the argument 'b' of m.t has no \"type\"",
        "argument-untyped",
    ),
    "an enum of numbers": ([note_tool(**inputs_of(a={"enum": [1, 2]}))], "other values than text", "enum-not-text"),
    "recursion": (
        [note_tool(inputs={**TREE, "properties": {"a": {"$ref": "#/$defs/t"}}})],
        "refers to itself, on which LlamaIndex",
        "schema-simplified",
    ),
    "look-around": ([note_tool(**inputs_of(a={"type": "string", "pattern": "(?!x)"}))], "CrewAI", "schema-simplified"),
    "a name": ([note_tool(**inputs_of(**{"$top": {"type": "integer"}}))], "hosts see 'top'", "argument-name-changed"),
    "a name that hosts reject": ([note_tool("a b")], "models see m.a b as 'm_a_b'", "tool-name-changed"),
    "a name that is shortened": ([note_tool("n" * 70)], "more than 45 characters", "tool-name-changed"),
    "two tools that hosts cannot tell apart": (
        [note_tool("a.b"), note_tool("a_b")],
        "same name in hosts",
        "tool-name-changed",
    ),
    "many tools": ([note_tool(f"t{n}") for n in range(129)], "129 tools: OpenAI's API", "many-tools"),
}


def notes_of(tools: list[dict[str, Any]], folder: Path) -> list[str]:
    file = folder / "notes.json"
    file.write_text(json.dumps({"name": "m", "url": "wss://example.com/", "tools": tools}))
    return [str(note) for note in host_notes(load_manifest(file, {}))]


@pytest.mark.parametrize(("tools", "message", "code"), NOTED.values(), ids=NOTED)
def test_what_a_host_refuses_or_changes_is_a_note(
    tools: list[dict[str, Any]], message: str, code: str, tmp_path: Path
) -> None:
    (note,) = notes_of(tools, tmp_path)
    assert message in note
    assert note.endswith(f" [{code}]")
    assert code in NOTES


def test_tools_that_every_host_takes_as_they_are_have_no_note(tmp_path: Path) -> None:
    properties = {"a": {"type": "string"}, "b": {"enum": ["x"]}, "c": {"anyOf": [{"type": "integer"}]}}
    assert notes_of([note_tool(**inputs_of(**properties))], tmp_path) == []


def test_a_problem_of_a_field_of_a_preset_is_placed_at_the_preset(tmp_path: Path) -> None:
    document = entry(tool(message="{{ args.q }}", reply="none"), preset="phoenix", on_connect=[])
    document["tools"].append({**TOOL, "name": "push"})
    reported = warnings_of(document, tmp_path, {})
    assert any(line.startswith("preset: message of this preset: session.join_ref is used here") for line in reported), (
        reported
    )


def test_an_undeclared_argument_is_placed_where_it_is_used(tmp_path: Path) -> None:
    document = entry({**TOOL, "name": "a"}, {"name": "b", "description": "B."}, message={"q": "{{ args.q }}"})
    (line,) = warnings_of(document, tmp_path, {})
    assert line.startswith("message: the argument 'q' is used here, but not declared by m.b,")
