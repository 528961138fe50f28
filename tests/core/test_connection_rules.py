"""What is compiled of the rules of a connection, which of them are equal, and where a problem is reported."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from utcp_ws_mcp.core.connection_rules import ConnectionRules
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver

SCHEMA = b'syntax = "proto3"; message M { int32 a = 1; }'


def compile_(variables: dict[str, str] | None = None, **fields: Any) -> tuple[Any, list[str]]:
    entry = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}
    loaded = load_document([entry], VariableResolver([variables or {}]), "m.json", PurePath("/m"), lambda *_: SCHEMA)
    assert not loaded.disabled, loaded.disabled
    tools, problems = compile_entry(loaded.entries[0])
    return tools, [str(problem).removeprefix("[0].") for problem in problems]


def rules(variables: dict[str, str] | None = None, **fields: Any) -> ConnectionRules:
    tools, problems = compile_(variables, **fields)
    assert problems == []
    found: ConnectionRules = tools[0].compiled_template.handshake.connection_rules
    return found


WRITTEN: dict[str, Any] = {
    "on_connect": [
        {"send": {"k": "{{ args.a }}"}, "when": "args.b", "timeout": 3},
        {
            "expect": "message.ok",
            "fail": "message.error",
            "fail_message": "message.error",
            "capture": {"x": "message.x"},
        },
        {"http": {"url": "https://b.example/{{ args.c }}"}},
    ],
    "on_disconnect": [{"send": "BYE"}, {"send": "QUIT", "when": "session.x"}],
    "auto_reply": [{"match": "message == 'PING'", "send": "PONG"}],
    "capture": [{"match": "message.y", "set": {"y": "message.y"}}],
    "reconnect_when": "message.moved",
    "fail_when": "message.fatal",
    "fail_message": "message.why",
    "session_identity": "message.session",
    "heartbeat": {"every": 5, "send": "PING", "expect": "message == 'PONG'", "timeout": 2},
    "send_as": "binary",
}


def test_every_rule_is_compiled() -> None:
    found = rules(**WRITTEN)
    send, expect, http = found.on_connect
    scope = {"args": {"a": 1}}
    assert (send.send.render(scope), send.when.source, send.expect, send.timeout) == ({"k": 1}, "args.b", None, 3)
    assert (expect.send, expect.expect.source, expect.fail.source) == (None, "message.ok", "message.error")
    assert (expect.fail_message.source, [name for name, _ in expect.captures]) == ("message.error", ["x"])
    assert http.url.render({"args": {"c": "d"}}) == "https://b.example/d"
    assert [(each.send.render({}), each.when and each.when.source) for each in found.on_disconnect] == [
        ("BYE", None),
        ("QUIT", "session.x"),
    ]
    ((match, captured),) = found.captures
    assert (match.source, [(name, each.source) for name, each in captured]) == ("message.y", [("y", "message.y")])
    assert len(found.auto_replies) == 1
    fields = (found.reconnect_when, found.fail_when, found.fail_message, found.session_identity)
    assert [each.source for each in fields] == ["message.moved", "message.fatal", "message.why", "message.session"]
    heartbeat = found.heartbeat
    assert heartbeat is not None
    assert (heartbeat.every.evaluate({}), heartbeat.send.render({}), heartbeat.timeout) == (5, "PING", 2)
    assert heartbeat.expect.source == "message == 'PONG'"
    assert found.send_as == "binary"
    assert found.arguments == {"a", "b", "c"}
    assert found.login_arguments == {"a", "b", "c"}


def test_without_rules_nothing_is_compiled() -> None:
    found = rules()
    empty = (found.before_connect, found.on_connect, found.on_disconnect, found.captures, found.auto_replies)
    assert empty == ((),) * 5
    assert (found.heartbeat, found.reconnect_when, found.fail_when, found.session_identity, found.schema) == (None,) * 5
    assert (found.arguments, found.login_arguments, found.unset_variables) == (frozenset(), frozenset(), ())


def test_only_the_login_counts_for_its_arguments() -> None:
    found = rules(heartbeat={"every": 5, "send": "{{ args.h }}"}, on_connect=[{"send": "{{ args.l }}"}])
    assert (found.arguments, found.login_arguments) == ({"h", "l"}, {"l"})


def test_optional_variables_of_the_login_that_are_not_set_are_known() -> None:
    login = [
        {
            "send": {
                "a": "{{ vars.B | default(omit) }}",
                "b": "{{ vars.A | default('x') }}",
                "c": "{{ vars.B | default(1) }}",
            }
        }
    ]
    assert rules(on_connect=login).unset_variables == ("B", "A")
    assert rules({"A": "1"}, on_connect=login).unset_variables == ("B",)


DIFFERENT: list[dict[str, Any]] = [
    {"on_connect": [{"send": "a"}]},
    {"reconnect_when": "message.a"},
    {"framing": {"separator": "\n"}},
    {"send_as": "binary"},
    {"heartbeat": {"every": 5, "send": "a"}},
]


def test_rules_that_are_written_equally_are_equal() -> None:
    for fields in [{}, *DIFFERENT]:
        assert rules(**fields) == rules(**fields)
        assert hash(rules(**fields)) == hash(rules(**fields))
    found = [rules(), *(rules(**fields) for fields in DIFFERENT)]
    assert len({each.fingerprint for each in found}) == len(found)
    assert all(one != other for index, one in enumerate(found) for other in found[:index])
    assert rules() != "rules"


def test_rules_with_other_variables_are_not_equal() -> None:
    login = {"on_connect": [{"send": "${TOKEN}"}]}
    assert rules({"TOKEN": "a"}, **login) == rules({"TOKEN": "a"}, **login)
    assert rules({"TOKEN": "a"}, **login) != rules({"TOKEN": "b"}, **login)
    assert "s3cret" not in repr(rules({"TOKEN": "s3cret"}, **login))


PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "a message": ({"on_connect": [{"send": "a"}, {"send": "{{ x.y }}"}]}, "on_connect[1].send: unknown name 'x'"),
    "when": ({"on_connect": [{"send": "a", "when": "x.y"}]}, "on_connect[0].when: unknown name 'x'"),
    "expect": ({"on_connect": [{"expect": "x.y"}]}, "on_connect[0].expect: unknown name 'x'"),
    "fail": ({"on_connect": [{"expect": "message", "fail": "x.y"}]}, "on_connect[0].fail: unknown name 'x'"),
    "fail_message": (
        {"on_connect": [{"expect": "message", "fail": "message.a", "fail_message": "x.y"}]},
        "on_connect[0].fail_message: unknown name 'x'",
    ),
    "capture of a step": (
        {"on_connect": [{"expect": "message", "capture": {"a": "x.y"}}]},
        "on_connect[0].capture.a: unknown name 'x'",
    ),
    "on_disconnect": ({"on_disconnect": [{"send": "{{ x.y }}"}]}, "on_disconnect[0]: unknown name 'x'"),
    "capture": ({"capture": [{"match": "x.y", "set": {"a": "message"}}]}, "capture[0]: unknown name 'x'"),
    "a captured value": ({"capture": [{"match": "message", "set": {"a": "x.y"}}]}, "capture[0]: unknown name 'x'"),
    "reconnect_when": ({"reconnect_when": "x.y"}, "reconnect_when: unknown name 'x'"),
    "heartbeat": ({"heartbeat": {"every": 5, "send": "{{ x.y }}"}}, "heartbeat: unknown name 'x'"),
    "a pattern": (
        {"framing": {"separator": "\n", "length": {"pattern": "("}}},
        "framing.length.pattern: the pattern is not a regular expression",
    ),
    "a type": (
        {"framing": {"codec": "protobuf", "protobuf": {"schema": "m.proto", "receive": "N"}}},
        "framing.protobuf.receive: the schema 'm.proto' has no message type 'N'",
    ),
    "a type to send": (
        {"framing": {"codec": "protobuf", "protobuf": {"schema": "m.proto", "receive": "M", "send": "N"}}},
        "framing.protobuf.send: the schema 'm.proto' has no message type 'N'",
    ),
}


@pytest.mark.parametrize(("fields", "problem"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_reported_at_its_place(fields: dict[str, Any], problem: str) -> None:
    (found,) = compile_(**fields)[1]
    assert found.startswith(problem)


def test_a_schema_is_loaded_with_its_types() -> None:
    framing = {"codec": "protobuf", "protobuf": {"schema": "m.proto", "receive": "M"}}
    schema = rules(framing=framing).schema
    assert schema is not None
    assert (schema.receive.DESCRIPTOR.full_name, schema.send) == ("M", None)
    both = rules(framing={"codec": "protobuf", "protobuf": {"schema": "m.proto", "receive": "M", "send": "M"}}).schema
    assert both is not None
    assert both.send.DESCRIPTOR.full_name == "M"


def test_without_a_folder_there_is_no_schema() -> None:
    framing = {"codec": "protobuf", "protobuf": {"schema": "m.proto", "receive": "M"}}
    entry = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], "framing": framing}
    loaded = load_document([entry], VariableResolver([{}]), "m.json", PurePath("/m"))
    (problem,) = compile_entry(loaded.entries[0])[1]
    assert str(problem).startswith(
        "[0].framing.protobuf.schema: a schema is a file beside the manifest, and there is none."
    )
    assert problem.code == "invalid-schema-file"
