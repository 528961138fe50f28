"""Secrets in plain text, and connections that others can read: where they are found, and where not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.lint.secrets_and_transport import check_hardcoded_secrets

from .test_feeds import places_of
from .test_lint import entry, tool

JWT = "eyJhbGciOiJIUz.eyJzdWIiOiIxMj.abc"


def secrets_of(document: Any) -> list[str]:
    problems = list(check_hardcoded_secrets(document))
    assert {each.code for each in problems} <= {"secret-in-manifest"}
    return [each.path for each in problems]


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        ({"a": [{"password": "x"}, {"b": {"api_key": "y"}}]}, ["a[0].password", "a[1].b.api_key"]),
        ({"password": ["x"]}, []),  # the elements of a list have no name
        ({"password": {"x": "y"}}, []),
        ({"password": 3}, []),
        ({"password": ""}, []),
        ({"password": " "}, []),
        ({"password": "${NAME}"}, []),
        ({"password": "$NAME"}, []),
        ({"password": "a$NAME"}, ["password"]),
        ({"password": "x{{ vars.X }}"}, []),
        ({"password": "UTCP_ARG_x_UTCP_ARG"}, []),
        ({"other": "x"}, []),
        ({"tls": {"client_key": "k.pem"}}, []),
        ({"a": {"tls": {"client_key": "k.pem"}}}, []),
        ({"client_key": "k"}, ["client_key"]),
        ({"tls": {"client_key": "k", "client_key_password": "x"}}, ["tls.client_key_password"]),
        ({"pin": "tofu"}, []),
        ([{"pin": "tofu"}], []),
        ({"manual_call_templates": [{"pin": "tofu"}]}, []),
        ({"x": {"pin": "1234"}}, ["x.pin"]),
        ({"pin": JWT}, ["pin"]),
        ({"query": {"key": "abcdef", "apiKey": "a", "Mykey": "abcdef"}}, ["query.key", "query.apiKey", "query.Mykey"]),
        ({"query": {"key": "abcde", "v": "abcdef", "key2": "${KEY}", "akey": "{{ args.k }}"}}, []),
        ([{"query": {"key": "abcdef"}}], ["[0].query.key"]),
        ({"feeds": [{}, {"query": {"key": "abcdef"}}]}, ["feeds[1].query.key"]),
        ([{"feeds": [{"query": {"key": "abcdef"}}]}], ["[0].feeds[0].query.key"]),
        ({"feed_defaults": {"query": {"key": "abcdef"}}}, ["feed_defaults.query.key"]),
        ({"manual_call_templates": [{"query": {"key": "abcdef"}}]}, ["manual_call_templates[0].query.key"]),
        (
            {"tools": [{"tool_call_template": {"query": {"key": "abcdef"}}}]},
            ["tools[0].tool_call_template.query.key"],
        ),
        (
            {"before_connect": [{"http": {"query": {"key": "abcdef"}}}]},
            ["before_connect[0].http.query.key"],
        ),
        ({"message": {"query": {"key": "abcdef"}}}, []),
        ({"message": [{"query": {"key": "abcdef"}}]}, []),
        ({"query": {"token": ["x"]}}, []),
        *(
            ({key: {"password": "x"}}, [])
            for key in ("description", "capture", "set", "reply", "annotations", "catalog", "inputs")
        ),
    ],
    ids=str,
)
def test_a_text_is_a_secret_by_its_name(document: Any, paths: list[str]) -> None:
    assert secrets_of(document) == paths


@pytest.mark.parametrize(
    ("text", "is_secret"),
    [
        ("sk-" + "a" * 20, True),
        ("sk-" + "a" * 19, False),
        ("ghp_" + "a" * 30, True),
        ("ghp_" + "a" * 29, False),
        ("glpat-" + "a" * 20, True),
        ("xoxb-" + "a" * 10, True),
        ("AKIA" + "A" * 16, True),
        (JWT, True),
        ("wss://a/?token=abcdef", True),
        ("wss://a/?token=abcde", False),
        ("wss://a/?x=1&apiKey=abcdef", True),
        ("wss://a/?x=1&my-key=abcdef", True),
        ("wss://a/?key=abcdef", True),
        ("wss://a/?x=abcdef", False),
        ("wss://a/?token=${TOKEN}", False),
        ("wss://a/?token={{ vars.TOKEN }}", False),
        ("wss://a/?token=UTCP_ARG_x_UTCP_ARG", False),
    ],
)
def test_a_text_is_a_secret_by_its_form_or_its_place_in_a_url(text: str, is_secret: bool) -> None:
    assert secrets_of({"x": text}) == ["x"] * is_secret
    assert secrets_of([text]) == ["[0]"] * is_secret


PLAIN = {"plaintext": True}
OWN = {"plaintext": True, "allow": ["private"]}
URL_CODE = [("url", "plaintext-transport")]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (entry(url="ws://a.example.com/", network=PLAIN), URL_CODE),
        (entry(url="ws://a.example.com/", network=OWN), []),
        (entry(url="ws://10.0.0.1/", network=OWN), []),
        (entry(url="ws://10.0.0.1/", network=PLAIN), []),
        (entry(url="ws://8.8.8.8/", network=OWN), URL_CODE),
        (entry(url="ws://127.0.0.1/", network=PLAIN), []),
        (entry(url="ws://${HOST}/", network=PLAIN, variables={"HOST": "a.example.com"}), URL_CODE),
        (entry(url="ws://${HOST}/", network=PLAIN, variables={"HOST": "127.0.0.1"}), []),
        (entry(url="ws://127.0.0.1/UTCP_ARG_q_UTCP_ARG/{{ args.q }}", network=PLAIN), []),
        (entry(url="ws://a.example.com/", network=PLAIN, tls={"insecure": True}), [
            *URL_CODE, ("tls.insecure", "insecure-tls"), ("tls", "field-without-effect")
        ]),
        (entry(tool(tls={"insecure": True})), [("tools[0].tool_call_template.tls.insecure", "insecure-tls")]),
        (entry(tool(message="{{ args.q }}"), tls={"insecure": True}), [("tls.insecure", "insecure-tls")]),
        (entry(tool(url="ws://b.example.com/", network=PLAIN), {**tool(), "name": "u"}), [
            ("tools[0].tool_call_template.url", "plaintext-transport")
        ]),
        (entry(tool(network={"plaintext": True, "allow": ["10.0.0.0/8"]}), url="ws://10.0.0.1/", network=OWN), []),
    ],
    ids=str,
)  # fmt: skip
def test_a_connection_that_others_can_read_is_reported_where_it_is_written(
    document: Any, expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert places_of(document, tmp_path) == expected


def test_a_template_of_a_tool_alone_is_checked(tmp_path: Path) -> None:
    template = {"call_template_type": "websocket", "url": "ws://b.example.com/", "network": PLAIN, "message": "x"}
    document = {
        "utcp_version": "1.0.0", "manual_version": "1.0.0",
        "tools": [{"name": "t", "description": "Ask.", "tool_call_template": template}],
    }  # fmt: skip
    assert places_of(document, tmp_path) == [("tools[0].tool_call_template.url", "plaintext-transport")]
