"""Drafts of conversations with a hostile endpoint, and of such in which secrets were typed or received."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.manifest.invisible import is_invisible
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver
from utcp_ws_mcp.recorder.manifest import Draft, draft_manifest, format_json
from utcp_ws_mcp.recorder.messages import RecordedMessage

URL = "wss://a.example/ws"
FIELDS = {"$comment", "name", "url", "on_connect", "request_id", "reply", "response_format", "ignore", "feeds", "tools"}
MAX_DRAFT = 20_000
"""Characters of a draft of a few messages."""


def drafted(*messages: tuple[bool, Any], url: str = URL, **endpoint: Any) -> Draft:
    seen = [RecordedMessage(sent, value) for sent, value in messages]
    return draft_manifest({"url": url, **endpoint}, parse_url(URL), seen, ())


def sent(value: Any) -> tuple[bool, Any]:
    return True, value


def received(value: Any) -> tuple[bool, Any]:
    return False, value


SECRET = "s3cret-Value-000017"
LONG = f"sk-live-{SECRET}"
OK = received({"type": "ok"})

CONVERSATIONS: dict[str, tuple[list[tuple[bool, Any]], dict[str, Any]]] = {
    "a password": ([sent({"user": "ann", "password": SECRET}), OK], {}),
    "a token that a login returns": ([sent({"password": "x"}), received({"token": SECRET})], {}),
    "a token below a key that a login returns": (
        [sent({"password": "x"}), received({"session": {"access_token": SECRET}})],
        {},
    ),
    "a token in an event": ([sent({"op": "a"}), received({"re": 1}), received({"token": SECRET})], {}),
    "a value below the name of a secret, twice": (
        [sent({"type": "login", "credentials": {"value": SECRET, "kind": "k"}}), OK] * 2,
        {},
    ),
    "a list below the name of a secret": ([sent({"type": "login", "auth": ["ann", SECRET]}), OK], {}),
    "a header with a name that says nothing": ([sent({"op": "a"}), OK], {"headers": {"X-Thing": LONG}}),
    "a cookie": ([sent({"op": "a"}), OK], {"headers": {"Cookie": f"sid={SECRET}; theme=dark"}}),
    "a part of the path": ([sent({"op": "a"}), OK], {"url": f"wss://a.example/bots/{LONG}/updates"}),
    "a parameter of the query": ([sent({"op": "a"}), OK], {"url": f"wss://a.example/?x={LONG}&access_token={SECRET}"}),
    "a subprotocol": ([sent({"op": "a"}), OK], {"protocol": ["v1", LONG]}),
}


@pytest.mark.parametrize(("messages", "endpoint"), CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_a_secret_is_in_no_draft(messages: list[tuple[bool, Any]], endpoint: dict[str, Any]) -> None:
    draft = drafted(*messages, **endpoint)
    assert SECRET not in format_json(draft.document)
    assert problems_of(draft) == []


def test_a_number_that_is_a_secret_becomes_a_variable() -> None:
    draft = drafted(sent({"type": "auth", "pin": 483911}), OK)
    assert draft.document["on_connect"][0]["send"] == {"type": "auth", "pin": "{{ vars.PIN | int }}"}
    assert draft.missing_variables == ["PIN"]
    assert problems_of(draft) == []


def test_what_is_beside_a_secret_stays() -> None:
    send = {"op": "auth", "auth": {"type": "basic", "user": "ann", "secret": SECRET}}
    [login, _] = drafted(sent(send), OK).document["on_connect"]
    assert login["send"] == {"op": "auth", "auth": {"type": "basic", "user": "ann", "secret": "${SECRET}"}}


def problems_of(draft: Draft) -> list[Any]:
    """Return the problems of a draft, and what it uses of the environment."""
    values = dict.fromkeys(draft.missing_variables, "1")
    environment = {"HOME": "canary", "AWS_SECRET_ACCESS_KEY": "canary"}
    document = json.loads(format_json(draft.document))
    [entry] = load_document(document, VariableResolver([values, environment]), "draft", PurePath()).entries
    _, problems = compile_entry(entry)
    used = [name for name in entry.variables if name in environment]
    return [*problems, *used]


TEXTS = (
    *("${HOME}", "$HOME", "{{ vars.HOME }}", "' ~ vars.HOME ~ '", "\\' ~ vars.HOME ~ \\'", "' or vars['HOME'] or '"),
    *("$preset", "$file", "$each", "$template", "UTCP_ARG_x_UTCP_ARG", "{% for x in y %}", "{#", "}}", "preset", "url"),
    *("error", "\x1b]0;owned\x07", "\u202egnp", "\u2028", "\x9b31m", "\udb40\udc41", "\ud800", "\x00", "\r\n", ""),
    *("a" * 1_000_000, "é" * 300, "'", "\\", '"', "vars", "args", "message"),
)
hostile_text = st.sampled_from(TEXTS) | st.text(max_size=20)
hostile = st.recursive(
    hostile_text | st.integers() | st.booleans() | st.none() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_text, inner, max_size=3),
    max_leaves=6,
)
KEYS = ("type", "id", "error", "result", "method", "token", "data", "status", "jsonrpc")
received_messages = st.lists(
    hostile | st.dictionaries(st.sampled_from(KEYS) | hostile_text, hostile, max_size=4), min_size=1, max_size=5
)


@settings(max_examples=150, deadline=None, database=None)
@given(received_messages)
def test_an_endpoint_changes_neither_the_fields_nor_the_variables_of_a_draft(values: list[Any]) -> None:
    first, *others = values
    login = [sent({"type": "login", "password": "x"}), received(first)]
    request = [sent({"op": "subscribe", "id": 1}), *map(received, others)]
    draft = drafted(*login, *request)
    text = format_json(draft.document)
    assert draft.document.keys() <= FIELDS
    assert draft.document["url"] == URL
    assert len(text) < MAX_DRAFT
    assert not [char for char in text if is_invisible(char)]
    text.encode()
    assert problems_of(draft) == []


def test_an_endpoint_does_not_decide_how_long_a_draft_is() -> None:
    events = [received({"type": f"kind-{number}"}) for number in range(5_000)]
    assert len(format_json(drafted(sent({"op": "a"}), *events).document)) < MAX_DRAFT
