"""The tools of a draft in a manifest that a person has written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from utcp_ws_mcp.errors import StudioRefused
from utcp_ws_mcp.recorder.manifest import format_json
from utcp_ws_mcp.studio.manifest_text import EMPTY
from utcp_ws_mcp.studio.merging import merge_draft

URL = "wss://api.example.com/ws"
GET: dict[str, Any] = {"name": "get", "description": "drafted", "inputs": {"type": "object", "properties": {}}}
PUT = {**GET, "name": "put"}
EVENTS = {"name": "events", "match": "message.event is defined"}
DRAFT = {"name": "api", "url": URL, "preset": "jsonrpc2", "feeds": [EVENTS], "tools": [GET, PUT]}
OWN = {"name": "mine", "url": URL, "preset": "jsonrpc2", "tools": [{"name": "get", "description": "written"}]}


def merged(manifest: Any, draft: Any = DRAFT) -> Any:
    result = merge_draft(json.dumps(manifest), json.dumps(draft))
    return result, json.loads(result.text)


def test_new_tools_and_feeds_are_added_and_what_is_written_stays() -> None:
    result, document = merged(OWN)
    assert document == {**OWN, "tools": [*OWN["tools"], PUT], "feeds": [EVENTS]}
    assert (result.added, result.known, result.different) == (("events", "put"), ("get",), ())
    assert result.summary == "Added: events, put. Left as they are: get."


def test_the_text_around_them_is_not_changed() -> None:
    text = '{"name": "mine",\n\n   "url": "' + URL + '",\n "tools": [\n  {"name":  "get"}\n  ]\n}\n'
    result = merge_draft(text, json.dumps({"url": URL, "tools": [PUT]}))
    assert result.text == text.replace('"get"}\n  ]', '"get"},\n    ' + format_json(PUT, 2) + "\n  ]")


@pytest.mark.parametrize("tools", [{"tools": []}, {}], ids=["an empty list", "no list"])
def test_a_call_template_without_tools_gets_them(tools: Any) -> None:
    own = {"name": "mine", "url": URL, **tools}
    assert merged(own, {"url": URL, "tools": [GET]})[1] == {**own, "tools": [GET]}


OTHER = {"name": "other", "url": "wss://other.example.com/", "tools": [{"name": "x"}]}


@pytest.mark.parametrize("form", [lambda own: [OTHER, own], lambda own: {"manual_call_templates": [OTHER, own]}])
def test_of_several_call_templates_that_of_the_endpoint_gets_them(form: Any) -> None:
    assert merged(form(OWN))[1] == form({**OWN, "tools": [*OWN["tools"], PUT], "feeds": [EVENTS]})


@pytest.mark.parametrize("url", [f"{URL}?token=${{TOKEN}}", f"{URL}/", "${API_URL}"])
def test_the_url_may_have_another_query_or_be_a_variable(url: str) -> None:
    assert merged({**OWN, "url": url})[0].added == ("events", "put")


@pytest.mark.parametrize("text", [EMPTY, "", " \n"])
def test_a_manifest_with_nothing_becomes_the_draft(text: str) -> None:
    result = merge_draft(text, json.dumps(DRAFT))
    assert (json.loads(result.text), result.added) == (DRAFT, ("events", "get", "put"))


def test_fields_that_decide_how_tools_are_called_and_differ_are_named() -> None:
    result = merged({**OWN, "preset": "cdp"}, {**DRAFT, "request_id": "counter", "$comment": "…"})[0]
    assert result.different == ("preset", "request_id")
    assert result.summary.endswith("The draft differs in preset, request_id: compare them if a tool does not work.")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "the manifest is no JSON"),
        (json.dumps(OTHER), f"no call template for {URL}"),
        (json.dumps([OTHER, {**OWN, "url": "${API_URL}"}]), f"no call template for {URL}"),
        ("[]", f"no call template for {URL}"),
        ("[1]", f"no call template for {URL}"),
        ("null", f"no call template for {URL}"),
        ('{"manual_call_templates": 1}', f"no call template for {URL}"),
        (json.dumps(DRAFT), "has all tools and feeds of the draft already"),
    ],
)
def test_what_cannot_be_merged_is_refused(text: str, reason: str) -> None:
    with pytest.raises(StudioRefused, match="nothing is added: ") as refused:
        merge_draft(text, json.dumps(DRAFT))
    assert reason in str(refused.value)


FORMS: list[tuple[Any, int]] = [
    (lambda own: own, 0),
    (lambda own: [OTHER, own], 1),
    (lambda own: {"manual_call_templates": [OTHER, own]}, 2),
]


@pytest.mark.parametrize(("form", "depth"), FORMS)
def test_what_is_added_is_indented_as_what_is_around_it(form: Any, depth: int) -> None:
    text = json.dumps(form(OWN), indent=2)
    result = merge_draft(text, json.dumps(DRAFT))
    item, member = "\n" + "  " * (depth + 2), "\n" + "  " * (depth + 1)
    assert f",{item}{format_json(PUT, depth + 2)}{member}]" in result.text
    assert f',{member}"feeds": {format_json([EVENTS], depth + 1, 9)}\n{"  " * depth}' + "}" in result.text
    assert json.loads(result.text) == form({**OWN, "tools": [*OWN["tools"], PUT], "feeds": [EVENTS]})


def test_an_empty_list_and_an_empty_template_get_their_first_item() -> None:
    text = '{"url": "' + URL + '", "tools": []}'
    assert merge_draft(text, json.dumps({"url": URL, "tools": [PUT]})).text == (
        '{"url": "' + URL + '", "tools": [\n    ' + format_json(PUT, 2) + "\n  ]}"
    )


def test_tools_of_another_form_have_no_names() -> None:
    own = {"name": "mine", "url": URL, "tools": [{"name": "get"}, "text", {}]}
    assert merged(own)[0].added == ("events", "put")
    assert merged({**own, "tools": [{"name": "get"}]}, {"url": URL, "tools": [GET, PUT]})[0].summary == (
        "Added: put. Left as they are: get."
    )
