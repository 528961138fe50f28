"""Credentials in messages, URLs, headers and subprotocols, and the variables that replace them."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.recorder.credentials import (
    SecretVariables,
    headers_without_secrets,
    is_login,
    opens_session,
    protocols_without_secrets,
    url_fields,
    url_without_secrets,
    without_secrets,
)

TOKEN = "abcdefghij1234567890"
"""A token of the least length that is recognized."""


NAMES = {
    "token": "TOKEN", "accessToken": "ACCESS_TOKEN", "X-API-Key": "X_API_KEY", "my key": "MY_KEY", "2fa": "SECRET_2FA",
    "_token": "_TOKEN", "": "SECRET_", "a..b": "A_B", "v2Token": "V2_TOKEN",
}  # fmt: skip


@pytest.mark.parametrize(("field", "variable"), NAMES.items())
def test_a_variable_is_named_after_its_field(field: str, variable: str) -> None:
    secrets = SecretVariables()
    assert secrets.variable_for("s3cret", field) == variable
    assert secrets.values == {variable: "s3cret"}
    assert "s3cret" not in repr(secrets)


def test_each_secret_of_a_name_has_its_own_variable() -> None:
    secrets = SecretVariables()
    names = [secrets.variable_for(value, "token") for value in ("a", "b", "a", "c", "b")]
    assert names == ["TOKEN", "TOKEN_2", "TOKEN", "TOKEN_3", "TOKEN_2"]


LOGINS: dict[str, tuple[Any, bool]] = {
    "a token": ({"token": "x"}, True),
    "a token below": ({"a": {"token": "x"}}, True),
    "what is below the name of a secret": ({"auth": {"value": "x"}}, True),
    "an empty token": ({"token": ""}, False),
    "the kind of a credential": ({"auth": {"type": "basic"}}, False),
    "a user name": ({"auth": {"user": "ada"}}, False),
    "the ID of a session": ({"session_id": "x"}, False),
    "other fields": ({"op": "get"}, False),
    "a list": (["token", "x"], False),
    "a token in a list": ([{"token": "x"}], True),
    "a text with the variable of a secret": ("PASS ${MY_PASSWORD}", True),
    "a text with an unknown variable": ("PASS ${OTHER_PASSWORD}", False),
    "a text with another variable": ("NICK ${NICK}", False),
    "a text with the variable of a session": ("GET ${SESSION_ID}", False),
    "a text with the name of a secret": ("password", False),
}


@pytest.mark.parametrize(("value", "result"), LOGINS.values(), ids=LOGINS)
def test_a_login_contains_a_credential_that_is_no_session(value: Any, result: bool) -> None:
    assert is_login(value, ("MY_PASSWORD", "NICK", "SESSION_ID")) is result


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("initialize", True), ("Hello", True), ("session.hello", True), ("app/init", True), ("a:identify", True),
        ("#handshake", True), ("SETUP", True), ("hello.session", False), ("say hello", False), ("get", False),
        (1, False),
    ],
)  # fmt: skip
def test_the_last_word_of_a_kind_says_whether_it_opens_a_session(kind: Any, result: bool) -> None:
    assert opens_session(kind) is result


MESSAGES: dict[str, tuple[Any, Any, dict[str, str]]] = {
    "no secret": ({"op": "get", "n": 1}, {"op": "get", "n": 1}, {}),
    "a secret": ({"token": "x"}, {"token": "${TOKEN}"}, {"TOKEN": "x"}),
    "an integer": ({"pin": 1234}, {"pin": "{{ vars.PIN | int }}"}, {"PIN": "1234"}),
    "a decimal": ({"pin": 1.5}, {"pin": "{{ vars.PIN | float }}"}, {"PIN": "1.5"}),
    "a flag": ({"token": True}, {"token": True}, {}),
    "nothing": ({"token": None}, {"token": None}, {}),
    "a list": ({"tokens": ["x", "y"]}, {"tokens": ["${TOKENS}", "${TOKENS_2}"]}, {"TOKENS": "x", "TOKENS_2": "y"}),
    "below a secret": ({"auth": {"value": "x"}}, {"auth": {"value": "${VALUE_AUTH}"}}, {"VALUE_AUTH": "x"}),
    "a secret below a secret": ({"auth": {"token": "x"}}, {"auth": {"token": "${TOKEN}"}}, {"TOKEN": "x"}),
    "what is open below a secret": (
        {"auth": {"type": "t", "user": "ada", "name": {"n": "x"}}}, {"auth": {"type": "t", "user": "ada",
            "name": {"n": "x"}}},
        {},
    ),
    "two levels below a secret": (
        {"auth": {"a": {"b": "x"}}}, {"auth": {"a": {"b": "${B_A_AUTH}"}}}, {"B_A_AUTH": "x"},
    ),
    "a known variable": ({"token": "Bearer ${KEY}"}, {"token": "Bearer ${KEY}"}, {}),
    "an unknown variable in a secret": ({"token": "${HOME}"}, {"token": "${TOKEN}"}, {"TOKEN": "${HOME}"}),
    "an unknown variable in a text": ({"say": "${HOME}"}, {"say": r"{{ '$' ~ '{HOME}' }}"}, {}),
    "text": ("hello ${KEY}", "hello ${KEY}", {}),
}  # fmt: skip


@pytest.mark.parametrize(("value", "shown", "values"), MESSAGES.values(), ids=MESSAGES)
def test_a_secret_of_a_message_is_a_variable(value: Any, shown: Any, values: dict[str, str]) -> None:
    secrets = SecretVariables()
    assert without_secrets(value, "", ("KEY",), secrets) == shown
    assert secrets.values == values


PROTOCOLS = {
    "mqtt": False, "graphql-transport-ws": False, "v12.stomp": False, "wamp.2.json": False,
        "very-long-name-of-a-protocol.v1.2": False,
    TOKEN: True, TOKEN[:-1]: False, "A" + TOKEN: True, "1" * 25: False, "abcdefghijklmnopqrstuvwxyz": False,
    "abcdefghij1234567890!": False,
}  # fmt: skip


@pytest.mark.parametrize(("protocol", "is_secret"), PROTOCOLS.items())
def test_a_subprotocol_that_is_a_token_is_a_variable(protocol: str, is_secret: bool) -> None:
    secrets = SecretVariables()
    shown = protocols_without_secrets(["v1", protocol], (), secrets)
    assert shown == ["v1", "${PROTOCOL_TOKEN}" if is_secret else protocol]
    assert secrets.values == ({"PROTOCOL_TOKEN": protocol} if is_secret else {})


HOST = "wss://a.example"
URLS: dict[str, tuple[str, str, dict[str, str]]] = {
    "nothing": (f"{HOST}/ws", f"{HOST}/ws", {}),
    "a token by its name": (f"{HOST}/?token=x", f"{HOST}/?token=${{TOKEN}}", {"TOKEN": "x"}),
    "the second parameter": (f"{HOST}/?a=1&token=x", f"{HOST}/?a=1&token=${{TOKEN}}", {"TOKEN": "x"}),
    "a name that ends with key": (f"{HOST}/?MyKEY=x", f"{HOST}/?MyKEY=${{MY_KEY}}", {"MY_KEY": "x"}),
    "a name that begins with key": (f"{HOST}/?keyboard=x", f"{HOST}/?keyboard=x", {}),
    "a token by its looks": (f"{HOST}/?x={TOKEN}", f"{HOST}/?x=${{X}}", {"X": TOKEN}),
    "a short text": (f"{HOST}/?x={TOKEN[1:]}", f"{HOST}/?x={TOKEN[1:]}", {}),
    "an escaped token": (f"{HOST}/?token=a%2Bb", f"{HOST}/?token=${{TOKEN}}", {"TOKEN": "a+b"}),
    "a fragment": (f"{HOST}/?token=x#top", f"{HOST}/?token=${{TOKEN}}#top", {"TOKEN": "x"}),
    "a known variable": (f"{HOST}/?token=${{KEY}}", f"{HOST}/?token=${{KEY}}", {}),
    "a part of the path": (f"{HOST}/bot/{TOKEN}/ws", f"{HOST}/bot/${{PATH_TOKEN}}/ws", {"PATH_TOKEN": TOKEN}),
    "an escaped part of the path": (f"{HOST}/{TOKEN}%3D", f"{HOST}/${{PATH_TOKEN}}", {"PATH_TOKEN": f"{TOKEN}="}),
    "a host that looks like a token": (f"wss://{TOKEN}.example/ws", f"wss://{TOKEN}.example/ws", {}),
    "a name with signs": (f"{HOST}/?api.key-1={TOKEN}", f"{HOST}/?api.key-1=${{API_KEY_1}}", {"API_KEY_1": TOKEN}),
}


@pytest.mark.parametrize(("url", "shown", "values"), URLS.values(), ids=URLS)
def test_a_secret_of_a_url_is_a_variable(url: str, shown: str, values: dict[str, str]) -> None:
    secrets = SecretVariables()
    assert url_without_secrets(url, ("KEY",), secrets) == shown
    assert secrets.values == values


QUERIES: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "one parameter": ("?v=2", {"v": "2"}, {}),
    "a repeated one": ("?k=a&v=2&k=b", {"k": ["a", "b"], "v": "2"}, {}),
    "an empty value": ("?v=", {"v": ""}, {}),
    "escaped signs": ("?a%5B%5D=x%20y%26%2B", {"a[]": "x y&+"}, {}),
    "letters beyond ASCII": ("?v=%C3%BC", {"v": "ü"}, {}),
    "a secret": ("?token=a%2Bb&MyKey=k", {"token": "${TOKEN}", "MyKey": "${MY_KEY}"}, {"TOKEN": "a+b", "MY_KEY": "k"}),
    "what looks like a token": (f"?x={TOKEN}", {"x": "${X}"}, {"X": TOKEN}),
    "what looks like a variable": ("?v=%24KEY2", {"v": "{{ '$' ~ 'KEY2' }}"}, {}),
    "the name of a set variable": ("?v=%24KEY", {"v": "$KEY"}, {}),
}


@pytest.mark.parametrize(("query", "shown", "values"), QUERIES.values(), ids=QUERIES)
def test_parameters_that_were_typed_become_a_query(query: str, shown: dict[str, Any], values: dict[str, str]) -> None:
    secrets = SecretVariables()
    assert url_fields(f"{HOST}/ws{query}", ("KEY",), secrets) == {"url": f"{HOST}/ws", "query": shown}
    assert secrets.values == values


@pytest.mark.parametrize(
    "query",
    ["", "?", "?flag", "?a=1&flag", "?=1", "?a=1&", "?q=a+b", "?a=1#b", "?t=${KEY}", "?a=%FF", "?%FF=1", "?a=UTCP_ARG_",
     "?%7B%7B%20x%20%7D%7D=1"],
)  # fmt: skip
def test_a_query_that_would_be_another_one_stays_in_the_url(query: str) -> None:
    assert url_fields(f"{HOST}/ws{query}", ("KEY",), SecretVariables()) == {"url": f"{HOST}/ws{query}"}


def test_what_stays_in_the_url_has_no_secrets_either() -> None:
    secrets = SecretVariables()
    assert url_fields(f"{HOST}/{TOKEN}?flag&token=x", (), secrets) == {
        "url": f"{HOST}/${{PATH_TOKEN}}?flag&token=${{TOKEN}}"
    }
    assert secrets.values == {"PATH_TOKEN": TOKEN, "TOKEN": "x"}
    assert url_fields(f"{HOST}/{TOKEN}?v=1", (), secrets) == {"url": f"{HOST}/${{PATH_TOKEN}}", "query": {"v": "1"}}


HEADERS: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]] = {
    "no secret": ({"X-Client": "hand"}, {"X-Client": "hand"}, {}),
    "the name of a secret": ({"Authorization": "x"}, {"Authorization": "${AUTHORIZATION}"}, {"AUTHORIZATION": "x"}),
    "a token": ({"X-Thing": TOKEN}, {"X-Thing": "${X_THING}"}, {"X_THING": TOKEN}),
    "a short text": ({"X-Thing": TOKEN[1:]}, {"X-Thing": TOKEN[1:]}, {}),
    "a known variable": ({"Authorization": "Bearer ${KEY}"}, {"Authorization": "Bearer ${KEY}"}, {}),
}


@pytest.mark.parametrize(("headers", "shown", "values"), HEADERS.values(), ids=HEADERS)
def test_a_secret_of_a_header_is_a_variable(
    headers: dict[str, str], shown: dict[str, str], values: dict[str, str]
) -> None:
    secrets = SecretVariables()
    assert headers_without_secrets(headers, ("KEY",), secrets) == shown
    assert secrets.values == values
