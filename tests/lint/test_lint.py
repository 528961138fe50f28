"""What will hurt in a manifest that is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.docs.examples import VARIABLES, read_examples, write_manifest
from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.lint import lint_manifest
from utcp_ws_mcp.manifest.inheritance import referenced_presets
from utcp_ws_mcp.manifest.variables import find_variables

ROOT = Path(__file__).parents[2]
URL = "wss://example.com/"
TEXT = {"type": "object", "properties": {"q": {"type": "string"}}}
TOOL: dict[str, Any] = {"name": "t", "description": "Ask.", "inputs": TEXT}


def advice(document: Any, folder: Path, environ: dict[str, str]) -> list[str]:
    file = folder / "m.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return [str(problem) for problem in lint_manifest(document, load_manifest(file, environ=environ))]


def entry(*tools: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "m", "url": URL, "tools": list(tools or [TOOL]), **fields}


def tool(**template: Any) -> dict[str, Any]:
    return {**TOOL, "tool_call_template": template}


HURTING: dict[str, tuple[Any, str]] = {
    "a key in clear": (
        entry(auth={"auth_type": "api_key", "api_key": "abc"}),
        'auth.api_key: a secret stands here in clear; write "${NAME}"',
    ),
    "a password in a login": (entry(on_connect=[{"send": {"userPassword": "x"}}]), "on_connect[0].send.userPassword:"),
    "a header in clear": (entry(headers={"Authorization": "Bearer abc"}), "headers.Authorization: a secret"),
    "a token in a query": (entry(url="wss://example.com/?access_token=abcdef"), "url: a secret"),
    "a key that everybody knows by its form": (
        entry(tool(message="LOGIN sk-abcdefghijklmnopqrstuvwx UTCP_ARG_q_UTCP_ARG")),
        "tools[0].tool_call_template.message: a secret",
    ),
    "a token among the variables": (entry(variables={"TOKEN": "abc"}, headers={"X": "${TOKEN}"}), "variables.TOKEN:"),
    "a variable that nobody uses": (
        entry(variables={"REGIO": "eu"}, headers={"X": "${REGION}"}),
        "variables.REGIO: nothing refers to this variable; is 'REGION' meant?",
    ),
    "plain text over a network": (
        entry(url="ws://example.com/", network={"plaintext": True}),
        "url: everybody on the way can read",
    ),
    "plain text of one tool": (
        entry(tool(url="ws://example.com/", network={"plaintext": True})),
        "tools[0].tool_call_template.url: everybody on the way",
    ),
    "any certificate": (entry(tls={"insecure": True}), "tls.insecure: anybody on the way can pretend"),
    "certificates without TLS": (entry(url="ws://localhost/", tls={"ca_file": "c.pem"}), "tls: has no effect on ws://"),
    "a tool without a description": (entry({"name": "t"}), 'm.t has no "description"'),
    "a name that hosts refuse": (entry({**TOOL, "name": "a b"}), "models will see 'm_a_b'"),
    "a name that is shortened": (entry({**TOOL, "name": "n" * 70}), "64 characters at most"),
    "two tools that hosts cannot tell apart": (entry({**TOOL, "name": "a.b"}, {**TOOL, "name": "a_b"}), "same name"),
    "an argument that is not sent": (entry(tool(message={"a": 1})), "the argument 'q'; put UTCP_ARG_q_UTCP_ARG into"),
    "an argument that nobody can give": (
        entry(tool(message="UTCP_ARG_q_UTCP_ARG {{ args.quer }}")),
        "no model will give the argument 'quer'",
    ),
    "an argument in the URL that nobody can give": (
        entry(url="wss://example.com/{{ args.room }}"),
        "url: no model will give the argument 'room', which is used here; describe it",
    ),
    "an argument in a header of one tool that nobody can give": (
        entry(tool(message="{{ args.q }}", headers={"X-Room": "{{ args.room }}"})),
        "tools[0].tool_call_template.headers: no model will give the argument 'room'",
    ),
    "none of the arguments that a preset takes": (
        entry(preset="graphql-transport-ws"), "no model will give the argument 'query'"
    ),
    "an id that is not compared": (
        entry(tool(message={"id": "{{ request_id }}", "q": "{{ args.q }}"})),
        'compare it in "reply.match"',
    ),
    "an id that is compared and not sent": (
        entry(tool(message={"q": "{{ args.q }}"}, reply={"match": "message.id == request_id"})),
        'm.t waits for a reply with its id and sends none; put "{{ request_id }}" into the message',
    ),
    "an id that is compared and sent only at the login": (
        entry(
            tool(message={"q": "{{ args.q }}"}, reply={"match": "message.id == request_id"}),
            on_connect=[{"send": {"id": "{{ request_id }}"}, "request_id": True}],
        ),
        "m.t waits for a reply with its id and sends none",
    ),
    "an id that is compared where nothing is sent": (
        entry(tool(listen=True, stream={"item": "args.q"}), preset="jsonrpc2"),
        'm.t sends nothing, so no message has its id; say what it waits for in "reply.match" or "stream.match"',
    ),
    "an argument of a tool that only listens": (
        entry(tool(listen=True, stream={"match": "message.x"})),
        "nothing is done with the argument 'q'; compare args.q where a message is chosen",
    ),
    "replies at an endpoint that greets": (entry(on_connect=[{"expect": "message.hi"}]), "speaks first"),
    "replies beside captured messages": (
        entry(capture=[{"match": "message.s", "set": {"seq": "message.s"}}], message={"s": "{{ session.seq }}"}),
        '"capture" says that other messages come',
    ),
    "replies beside heartbeats": (entry(heartbeat={"every": 5, "send": "ping"}), 'the answers to "heartbeat" come too'),
    "an error without a sign": (entry(reply={"error_message": "message.e"}), 'without "error"'),
    "a tool's error without a sign": (
        entry(tool(reply={"error_message": "message.e"})),
        "tools[0].tool_call_template.reply.error_message: has no effect",
    ),
    "a heartbeat that nobody answers": (
        entry(heartbeat={"every": 5, "send": "p", "timeout": 3}, ignore="message == 'p'"),
        'heartbeat.timeout: has no effect without "expect"',
    ),
    "a stream where nothing answers": (
        entry(message="hi", reply="none", stream={"max_items": 3}),
        'stream: has no effect: with "reply": "none"',
    ),
    "a result of a tool whose preset says what an item is": (
        entry(tool(reply={"result": "message.data[1]"}, stream=True), preset="socketio4"),
        "reply.result: has no effect: an item of the stream is \"stream.item\", here 'message.data'",
    ),
    "a result of a tool that watches events": (
        entry(tool(listen=True, reply={"result": "message.q"}, stream={"match": "message.q == args.q"})),
        'reply.result: has no effect: an item of the stream is the whole message; write "stream.item"',
    ),
    "a result where nothing answers": (
        entry(tool(message="hi", reply={"none": True, "result": "message.id"})),
        'tools[0].tool_call_template.reply.result: has no effect: with "reply": "none"',
    ),
    "a value that nothing computes": (
        entry(tool(message={"a": "{{ let.nonse }}", "q": "{{ args.q }}"}, let={"nonce": "uuid()"})),
        "tools[0].name: nothing computes let.nonse, which is used here; is 'nonce' meant?",
    ),
    "a value that nothing uses": (
        entry(let={"nonce": "uuid()"}),
        "let.nonce: nothing uses let.nonce; take it out",
    ),
    "a value of a tool that nothing uses": (
        entry(tool(message="{{ args.q }}", let={"nonce": "uuid()"})),
        "tools[0].tool_call_template.let.nonce: nothing uses let.nonce",
    ),
    "more messages of a call that sends none": (
        entry(listen=True, then=["x"]),
        'then: has no effect: with "message": false',
    ),
    "an argument of a later message that is not asked for": (
        entry(message="a", then=["{{ args.zone }}"]),
        "no model will give the argument 'zone'",
    ),
    "ids that nobody uses": (entry(request_id="counter"), "request_id: has no effect"),
    "a refusal that nobody reads": (
        entry(on_connect=[{"send": "hi", "fail": "message.error"}], ignore="true"),
        "on_connect[0].fail: has no effect in a step that sends",
    ),
    "words for a refusal that is none": (
        entry(on_connect=[{"expect": "message.ok", "fail_message": "message.why"}], ignore="true"),
        "on_connect[0].fail_message: has no effect without \"fail\"",
    ),
    "a kept value that nobody uses": (
        entry(on_connect=[{"expect": "message.hi", "capture": {"x": "message.x"}}], ignore="true"),
        "on_connect[0].capture.x: nothing uses session.x",
    ),
    "a value that nobody keeps": (
        entry(on_connect=[{"expect": "message.hi", "capture": {"me": "message.x"}}], message="{{ session.me }}",
              reply={"match": "message.src == session.mee"}, ignore="true"),
        "reply: nothing keeps session.mee, which is used here; is 'me' meant?",
    ),
    "a tool's value that nobody keeps": (
        entry(tool(message={"method": "session.new", "id": "{{ session.id }}"})),
        'tools[0].tool_call_template.message: nothing keeps session.id, which is used here; add it to a "capture"',
    ),
    "options of a discovery that is not made": (entry(max_tools=5), "max_tools: has no effect"),
    "a glob without tools": (entry(exclude_tools=["z*"]), "exclude_tools[0]: no tool has a name like 'z*'"),
    "no tools at all": (entry(include_tools=["z*"]), "tools: no tool is offered"),
}  # fmt: skip


@pytest.mark.parametrize(("document", "sentence"), HURTING.values(), ids=HURTING)
def test_what_will_hurt_is_said(document: Any, sentence: str, tmp_path: Path) -> None:
    said = advice(document, tmp_path, {"REGION": "eu"})
    assert [line for line in said if sentence in line] != [], said


def test_what_hurts_in_all_tools_is_said_once(tmp_path: Path) -> None:
    tools = [{**TOOL, "name": name} for name in ("a", "b", "c")]
    said = advice(entry(*tools, url="wss://example.com/{{ args.room }}"), tmp_path, {})
    assert sum("'room'" in line for line in said) == 1


HARMLESS: dict[str, Any] = {
    "secrets as variables": entry(
        auth={"auth_type": "api_key", "api_key": "${KEY}"},
        headers={"Cookie": "a={{ vars.KEY }}", "Authorization": "$KEY"},
        on_connect=[{"send": {"password": "{{ vars.KEY }}"}}],
    ),
    "a token that is taken out of an answer": entry(
        before_connect=[{"http": {"url": "https://a.b/"}, "capture": {"token": "body.token"}}],
        url="wss://example.com/?t={{ session.token }}",
    ),
    "an argument that is called token": entry(
        {**TOOL, "inputs": {"properties": {"token": {"type": "string"}}}, "tool_call_template": {"message": {
            "token": "UTCP_ARG_token_UTCP_ARG"}}}
    ),
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
}  # fmt: skip


@pytest.mark.parametrize("document", HARMLESS.values(), ids=HARMLESS)
def test_what_is_well_written_gets_no_advice(document: Any, tmp_path: Path) -> None:
    assert advice(document, tmp_path, {"KEY": "k"}) == []


@pytest.mark.parametrize("file", sorted((ROOT / "manifests").glob("*.json")), ids=lambda file: file.name)
def test_the_manifests_of_the_gallery_get_no_advice(file: Path, tmp_path: Path) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    names = find_variables([document, referenced_presets(document)])
    loaded = load_manifest(file, environ=dict.fromkeys(names, "dummy"))
    assert [str(problem) for problem in lint_manifest(document, loaded)] == []


def test_the_examples_of_the_documentation_hold_no_secrets(tmp_path: Path) -> None:
    for example in read_examples():
        if example.manifest.kind == "manifest":
            loaded = load_manifest(write_manifest(example.manifest.text, tmp_path), environ=VARIABLES)
            said = [str(problem) for problem in lint_manifest(example.manifest.message, loaded)]
            assert [line for line in said if "in clear" in line and "quotes_TOKEN" not in line] == [], (
                example.manifest.place
            )
