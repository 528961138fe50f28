"""The query parameters of a feed: what a URL gets before the first event, and behind one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.client.feeds.quiet import compiled_feed
from utcp_ws_mcp.client.manifest_files import load_text
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.feeds.query import MAX_LENGTH, FeedParameters
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.errors import InvalidManifest

POSITION = "message.seq"


def parameters(query: Any, position: Any = None, **args: Any) -> FeedParameters:
    compiled = compiled_feed(query=query, position=POSITION).query
    assert compiled is not None
    scope = Scope(Ambient(None, None), {"args": args, "tool": "f", "vars": {}, "session": {}})  # type: ignore[arg-type]
    return compiled.render(scope, position)


CASES: dict[str, tuple[Any, Any, FeedParameters]] = {
    "no position yet": ({"after": "{{ position }}", "v": 1}, None, FeedParameters("v=1")),
    "a number": ({"after": "{{ position }}", "v": 1}, 12, FeedParameters("after=12&v=1", resumes=True)),
    "a text": ({"after": "{{ position }}"}, "a b&c", FeedParameters("after=a%20b%26c", resumes=True)),
    "a text around it": ({"after": "id-{{ position }}"}, "7", FeedParameters("after=id-7", resumes=True)),
    "no position for a text around it": ({"after": "id-{{ position }}"}, None, FeedParameters("")),
    "the next position": ({"from": "{{ position + 1 }}"}, 7, FeedParameters("from=8", resumes=True)),
    "no position to add to": ({"from": "{{ position + 1 }}"}, None, FeedParameters("")),
    "a member": ({"s": "{{ position.s }}"}, {"s": 3}, FeedParameters("s=3", resumes=True)),
    "a beginning": ({"after": "{{ position | default(0) }}"}, None, FeedParameters("after=0")),
    "a beginning that has passed": (
        {"after": "{{ position | default(0) }}"}, 5, FeedParameters("after=5", resumes=True)
    ),
    "a test": ({"live": "{{ position is not defined }}"}, None, FeedParameters("live=true")),
    "no use of the position": ({"v": "{{ args.v }}", "w": [1, 2]}, 5, FeedParameters("w=1&w=2")),
    "the name of the feed": ({"stream": "{{ tool }}"}, None, FeedParameters("stream=f")),
}  # fmt: skip


@pytest.mark.parametrize(("query", "position", "expected"), CASES.values(), ids=CASES)
def test_the_parameters_of_a_feed_are(query: Any, position: Any, expected: FeedParameters) -> None:
    assert parameters(query, position) == expected


@pytest.mark.parametrize(
    ("position", "problem"),
    [
        ([1, 2], "the position gives the query parameter 'after' 2 values instead of one."),
        ([], "the position gives the query parameter 'after' 0 values instead of one."),
        ({"a": 1}, "the query parameter 'after' is an object"),
        ("x" * MAX_LENGTH, "the query parameters have more than 2,048 characters."),
        ("\ud800", "a character that UTF-8 cannot encode"),
    ],
)
def test_a_position_that_no_url_can_have_is_left_out_with_the_reason(position: Any, problem: str) -> None:
    found = parameters({"after": "{{ position }}", "v": 1}, position)
    assert (found.text, found.resumes) == ("v=1", False)
    assert problem in found.problem


def test_parameters_of_the_greatest_length_are_sent() -> None:
    longest = "x" * (MAX_LENGTH - len("after="))
    assert parameters({"after": "{{ position }}"}, longest).resumes
    assert not parameters({"after": "{{ position }}"}, f"{longest}x").resumes


def test_an_argument_that_no_url_can_have_is_an_error_with_and_without_a_position() -> None:
    query = {"after": "{{ position }}", "v": "{{ args.v }}"}
    for position in (None, 1):
        with pytest.raises(RenderError, match="'v' is an object"):
            parameters(query, position, v={"a": 1})


@pytest.mark.parametrize(
    ("feed", "template", "problem"),
    [
        (
            {"query": {"a": "{{ position }}"}},
            {},
            'm.json: feeds[0].query.a: position is used here, and the feed has no "position"',
        ),
        (
            {"query": {"a": ["{{ position }}"]}, "position": POSITION},
            {},
            "m.json: feeds[0].query.a: position is used in a list",
        ),
        ({"query": {"a": "{{ session.x }}"}}, {}, "feeds[0].query.a: unknown name 'session'"),
        ({"query": {"a": "{{ message }}"}}, {}, "feeds[0].query.a: unknown name 'message'"),
        ({"query": {"a": {"b": 1}}}, {}, "feeds[0].query.a: the value is an object"),
        (
            {"query": {"a": 1}},
            {"url": "ws://localhost/?a=2"},
            "feeds[0].query.a: the URL has the parameter 'a' already",
        ),
        ({"query": {"a": 1}}, {"query": {"a": 2}}, "feeds[0].query.a: the URL has the parameter 'a' already"),
        (
            {"query": {"k": 1}},
            {"auth": {"auth_type": "api_key", "api_key": "x-123456", "var_name": "k", "location": "query"}},
            "feeds[0].query.k: the URL has the parameter 'k' already",
        ),
    ],
)
def test_what_a_query_cannot_have_is_named_with_its_place(
    feed: dict[str, Any], template: dict[str, Any], problem: str
) -> None:
    listed = [{"name": "f", "match": "message.x is defined", **feed}]
    document = {"name": "m", "url": "ws://localhost/", "feeds": listed, "tools": [], **template}
    with pytest.raises(InvalidManifest) as raised:
        load_text(json.dumps(document), Path("m.json"), {})
    assert problem.removeprefix("m.json: ") in str(raised.value)


def test_a_feed_without_a_query_has_no_connection_of_its_own() -> None:
    assert compiled_feed().query is None
    assert not compiled_feed().resumes_in_url
    assert not compiled_feed(query={"v": 1}).resumes_in_url
    assert compiled_feed(query={"v": "{{ position }}"}, position=POSITION).resumes_in_url
