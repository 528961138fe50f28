"""What a call template inherits, its short forms, and problems that only the written document shows."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.manifest.inheritance import (
    apply_preset,
    check_fields,
    extends,
    inherited_documents,
    listens,
    merge,
    merge_tool,
    normalize,
    referenced_presets,
)
from utcp_ws_mcp.manifest.presets import preset_names, preset_summary, read_bare_reply, read_bare_stream, read_preset

MERGED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "nothing": ({"a": 1}, {}, {"a": 1}),
    "another field": ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    "the same field": ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"y": 2}}),
    "a null": ({"a": 1, "b": 2}, {"a": None, "c": None}, {"b": 2}),
    "an object by its keys": ({"reply": {"match": "a", "error": "b"}}, {"reply": {"error": "c"}},
                              {"reply": {"match": "a", "error": "c"}}),
    "a null in an object": ({"reply": {"match": "a", "error": "b"}}, {"reply": {"error": None}},
        {"reply": {"match": "a"}}),
    "a null in an inherited object": ({"reply": {"match": None}}, {"reply": {"error": "c"}}, {"reply": {"error": "c"}}),
    "an object in place of none": ({}, {"reply": {"error": None}}, {"reply": {"error": None}}),
    "an object in place of a text": ({"reply": "x"}, {"reply": {"error": "c"}}, {"reply": {"error": "c"}}),
    "a text in place of an object": ({"reply": {"match": "a"}}, {"reply": "x"}, {"reply": "x"}),
    "a list": ({"ignore": ["a"]}, {"ignore": ["b"]}, {"ignore": ["b"]}),
    "a list with the inherited one": ({"ignore": ["a", "b"]}, {"ignore": ["c", "...", "d"]}, {"ignore": ["c", "a",
        "b", "d"]}),
    "a list with an inherited text": ({"ignore": "a"}, {"ignore": ["...", "b"]}, {"ignore": ["a", "b"]}),
    "a list with nothing inherited": ({}, {"ignore": ["...", "b"]}, {"ignore": ["b"]}),
    "dots in another list": ({"then": ["a"]}, {"then": ["..."]}, {"then": ["..."]}),
    "a message in place of listening": ({"listen": True}, {"message": "m"}, {"message": "m"}),
    "no message in place of listening": ({"listen": True}, {"message": None}, {"listen": True}),
    "listening in place of a message": ({"message": "m"}, {"listen": True}, {"listen": True}),
    "not listening beside a message": ({"message": "m"}, {"listen": False}, {"message": "m", "listen": False}),
}  # fmt: skip


@pytest.mark.parametrize(("base", "overlay", "merged"), MERGED.values(), ids=MERGED)
def test_a_field_replaces_extends_or_removes_what_it_inherits(base: Any, overlay: Any, merged: Any) -> None:
    assert merge(base, overlay) == merged


def test_merging_changes_neither_document() -> None:
    base, overlay = {"reply": {"match": "a"}, "ignore": ["a"]}, {"reply": {"error": "b"}, "ignore": ["...", "b"]}
    merge(base, overlay)
    assert base == {"reply": {"match": "a"}, "ignore": ["a"]}
    assert overlay == {"reply": {"error": "b"}, "ignore": ["...", "b"]}


@pytest.mark.parametrize(
    ("written", "result"),
    [
        (True, True), ("true", True), ("TRUE", True), ("1", True), (1, True), ("yes", True), ("on", True), ("t", True),
        ("y", True), (False, False), ("false", False), ("0", False), ("off", False), (None, False), ("no", False),
    ],
)  # fmt: skip
def test_listen_is_read_as_a_boolean(written: Any, result: bool) -> None:
    assert listens({"listen": written}) is result


def test_only_a_list_extends_what_it_inherits() -> None:
    assert [extends(value) for value in (["..."], ["a"], "...", {"...": 1}, None)] == [True, False, False, False, False]


NORMALIZED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({"url": "u"}, {"url": "u"}),
    "no reply": ({"reply": "none"}, {"reply": {"none": True}}),
    "another text": ({"reply": "some"}, {"reply": "some"}),
    "a stream": ({"stream": True}, {"stream": {"on": True}}),
    "no stream": ({"stream": False}, {"stream": {"on": False}}),
    "the rules of a stream": ({"stream": {"until": "a"}}, {"stream": {"on": True, "until": "a"}}),
    "the rules of no stream": ({"stream": {"on": False}}, {"stream": {"on": False}}),
    "the older form as JSON": ({"request_data_format": "json"}, {"preset": "utcp"}),
    "the older form with a preset": ({"request_data_format": "json", "preset": "p"}, {"preset": "p"}),
    "the older form as text": ({"request_data_format": "text", "request_data_template": "t"}, {"message": "t"}),
    "the older form with a message": (
        {"request_data_format": "text", "request_data_template": "t", "message": "m"}, {"message": "m"},
    ),
    "the older form without a text": ({"request_data_format": "text"}, {}),
    "the older form of JSON with a text": ({"request_data_format": "json", "request_data_template": "t"},
        {"preset": "utcp"}),
}  # fmt: skip


@pytest.mark.parametrize(("written", "form"), NORMALIZED.values(), ids=NORMALIZED)
def test_short_forms_are_written_in_full(written: dict[str, Any], form: dict[str, Any]) -> None:
    before = dict(written)
    assert normalize(written) == form
    assert written == before


def test_a_preset_is_below_its_document() -> None:
    assert apply_preset({"preset": "jsonrpc2", "timeout": 5})["timeout"] == 5
    assert apply_preset({"preset": "jsonrpc2"})["reply"] == normalize(read_preset("jsonrpc2"))["reply"]
    assert apply_preset({"preset": "none"}) == {"preset": "none"}
    assert apply_preset({"preset": 5}) == {"preset": 5}


def test_feeds_have_their_defaults() -> None:
    raw = {
        "feed_defaults": {"size": 5, "keep": "all"},
        "feeds": [{"name": "a", "size": 6}, {"name": "b", "keep": None}, "..."],
    }
    assert apply_preset(raw)["feeds"] == [
        {"size": 6, "keep": "all", "name": "a"}, {"size": 5, "name": "b"},
    ]  # fmt: skip
    assert apply_preset({"feed_defaults": 5, "feeds": [{"name": "a"}]})["feeds"] == [{"name": "a"}]
    assert apply_preset({"feed_defaults": {"size": 5}, "feeds": 5})["feeds"] == 5
    assert apply_preset({"feed_defaults": {"size": 5}, "feeds": [7]})["feeds"] == [7]


def test_a_tool_has_its_own_preset_between_its_entry_and_itself() -> None:
    entry = {"name": "m", "url": "u", "tools": [], "feeds": [], "feed_defaults": {}, "max_tools": 5, "timeout": 7}
    assert merge_tool(entry, {"name": "x", "message": "m"}) == {"url": "u", "timeout": 7, "message": "m"}
    merged = merge_tool({**entry, "reply": {"error": "mine"}}, {"preset": "jsonrpc2", "reply": {"result": "r"}})
    preset = read_preset("jsonrpc2")["reply"]
    assert merged["reply"] == {**preset, "result": "r"}


def test_the_presets_of_an_entry_and_of_its_tools_are_each_found_once() -> None:
    tools = [
        {"tool_call_template": {"preset": "wamp"}}, {"tool_call_template": {"preset": "jsonrpc2"}}, {"name": "t"}, 5,
        {"tool_call_template": {"preset": "none"}}, {"tool_call_template": {"preset": 5}}, {"tool_call_template": 5},
    ]  # fmt: skip
    assert referenced_presets({"preset": "jsonrpc2", "tools": tools}) == [
        normalize(read_preset("jsonrpc2")), normalize(read_preset("wamp")),
    ]  # fmt: skip
    assert referenced_presets({"tools": 5}) == []


def test_the_documents_of_an_entry_are_those_that_calls_use() -> None:
    entry = {"name": "m", "url": "u", "headers": {"A": "1"}}
    own = {"tool_call_template": {"headers": {"B": "2"}}}
    plain, other = {"url": "u", "headers": {"A": "1"}}, {"url": "u", "headers": {"B": "2"}}
    assert inherited_documents(entry) == [plain]
    assert inherited_documents({**entry, "tools": [own]}) == [other]
    assert inherited_documents({**entry, "tools": [own, {"name": "t"}, {"name": "u"}]}) == [plain, other]
    assert inherited_documents({**entry, "tools": [own], "discovery": {}}) == [plain, other]
    assert inherited_documents({**entry, "tools": [own], "feeds": [{"name": "f"}]}) == [plain, other]
    assert inherited_documents({**entry, "tools": [5, {"tool_call_template": 5}]}) == []
    assert inherited_documents({**entry, "tools": []}) == []


FIELDS: dict[str, tuple[dict[str, Any], list[tuple[str, str, str]]]] = {
    "nothing": ({"url": "u"}, []),
    "a preset": ({"preset": "wamp"}, []),
    "a preset with a slip": (
        {"preset": "wampp"}, [("p.preset", "unknown-preset", "there is no preset 'wampp'. Did you mean 'wamp'?")],
    ),
    "a preset like no other": (
        {"preset": "xyzzy"},
        [("p.preset", "unknown-preset",
            f"there is no preset 'xyzzy'. Known presets: {', '.join(sorted(preset_names()))}.")],
    ),
    "a preset that is a number": (
        {"preset": 5},
        [("p.preset", "unknown-preset", f"there is no preset 5. Known presets: {', '.join(sorted(preset_names()))}.")],
    ),
    "listening with a message": (
        {"listen": True, "message": "m"},
        [("p.listen", "invalid-value",
          'excludes "message": a call that only listens sends nothing. Remove one of them.')],
    ),
    "listening without a message": ({"listen": True, "message": None}, []),
    "another form": (
        {"request_data_format": "xml"}, [("p.request_data_format", "invalid-value", "expected 'json' or 'text'.")],
    ),
    "the form of JSON": ({"request_data_format": "json"}, []),
    "a text": ({"request_data_format": "text", "request_data_template": "t"}, []),
    "a text without its form": (
        {"request_data_template": "t"},
        [("p.request_data_template", "field-needs-format",
          'no effect without "request_data_format": "text". Add that, or write the template as "message".')],
    ),
    "a form without its text": (
        {"request_data_format": "text"},
        [("p.request_data_template", "missing-key", 'this field is required with "request_data_format": "text".')],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "problems"), FIELDS.values(), ids=FIELDS)
def test_what_merging_would_hide_is_said_before(raw: dict[str, Any], problems: list[tuple[str, str, str]]) -> None:
    assert [(each.path, each.code, each.message) for each in check_fields(raw, "p")] == problems


def test_a_preset_is_read_without_its_comments() -> None:
    for name in preset_names():
        assert not [key for key in read_preset(name) if key.startswith("$")]
        summary = preset_summary(name)
        assert summary
        assert not summary.endswith(".")
        assert ". " not in summary
    assert read_bare_stream().keys() == {"reply", "stream"}
    assert "$comment" not in read_bare_reply()
