"""One list of secret names, and what it is used for."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.manifest.models.call_template import CallTemplate
from utcp_ws_mcp.manifest.secret_names import (
    credential_variables,
    is_secret_name,
    is_session_name,
    is_user_name,
    mentions_secret,
    redact_by_key,
    secrets_in,
)

SECRETS = [
    *(
        "client-key",
        "client_key",
        "clientKey",
        "api-key",
        "x-api-key",
        "X-API-Key",
        "apikey",
        "listenKey",
        "privateKey",
    ),
    *("jwt", "bearer", "ticket", "credential", "credentials", "pwd", "pin", "otp", "psk", "session_id", "sessionId"),
    *(
        "sid",
        "PHPSESSID",
        "token",
        "access_token",
        "accessToken",
        "authtoken",
        "password",
        "userPassword",
        "passphrase",
    ),
    *("secret", "client_secret", "Authorization", "auth", "Cookie", "Set-Cookie", "session.token", "signature"),
]
SECRETS += [
    written
    for words in ("client key", "api key", "x api key", "listen key", "private key", "session id", "pass phrase")
    for written in (
        *(
            "-".join(words.split()),
            "_".join(words.split()),
            "_".join(words.split()).upper(),
            words.title().replace(" ", ""),
        ),
        *("-".join(words.title().split()), words[0] + words.title().replace(" ", "")[1:], ".".join(words.split())),
    )
]
NO_SECRETS = [
    *("token_url", "token_type", "auth_type", "cookie_name", "key", "sort_key", "public_key", "monkey", "author"),
    *("session", "spin", "option", "inside", "topic", "id", "name", "user", "username", "login", "authid", "auth_id"),
]


@pytest.mark.parametrize("name", SECRETS)
def test_a_value_of_a_secret_name_is_in_no_trace(name: str) -> None:
    assert is_secret_name(name)
    assert mentions_secret(name)
    assert redact_by_key(f'{{"{name}": "abcd1234"}}') == f'{{"{name}": "***"}}'


@pytest.mark.parametrize("name", NO_SECRETS)
def test_a_value_of_another_name_is_shown(name: str) -> None:
    assert not is_secret_name(name)
    assert redact_by_key(f'{{"{name}": "abcd1234"}}') == f'{{"{name}": "abcd1234"}}'


KEYED = {
    "a short pin": ('{"pin": "1234"}', '{"pin": "***"}'),
    "too short to be one": ('{"auth": "ok"}', '{"auth": "ok"}'),
    "in a sentence of a trace": ('session.token is now "abcdef"', 'session.token is now "***"'),
    "cut off": ('{"jwt": "abcdef…', '{"jwt": "***"'),
    "an escaped quote": (r'{"pwd": "ab\"cd", "x": "y"}', '{"pwd": "***", "x": "y"}'),
    "JSON in JSON": (r'{"data":"{\"token\": \"abcdef\", \"n\": 1}"}', r'{"data":"{\"token\": \"***\", \"n\": 1}"}'),
    "quotes in JSON in JSON": (r'"{\"pwd\": \"ab\\\"cd\"}"', r'"{\"pwd\": \"***\"}"'),
    "a PIN that is a number": ('{"pin": 1234, "n": 12345}', '{"pin": "***", "n": 12345}'),
    "several": ('{"tokens": ["abcdef", "g"], "n": ["abcdef"]}', '{"tokens": ["***"], "n": ["abcdef"]}'),
    "a header of a text protocol": ("CONNECT\npasscode:guest123\nhost:/\n\n\0", "CONNECT\npasscode:***\nhost:/\n\n\0"),
    "a header with a scheme": ("Authorization: Bearer abcdefgh", "Authorization: ***"),
    "a query": ("GET /?token=abcdef&x=1", "GET /?token=***&x=1"),
    "a word of a sentence": ("the token: expired, then", "the token: expired, then"),
    "other quotes": ("{'token': 'abcdef'}", "{'token': '***'}"),
    "a number": ('{"session_id": 123456}', '{"session_id": 123456}'),
}


@pytest.mark.parametrize(("text", "redacted"), KEYED.values(), ids=KEYED)
def test_the_text_behind_a_secret_name_is_redacted(text: str, redacted: str) -> None:
    assert redact_by_key(text) == redacted


@pytest.mark.parametrize("name", ["USER", "API_USER", "userName", "user_id", "JANUS_LOGIN", "WAMP_AUTHID"])
def test_a_user_name_is_no_credential_even_where_a_connection_logs_in(name: str) -> None:
    template = CallTemplate(url="wss://a.example/", headers={"X": f"${{{name}}}"})
    assert is_user_name(name)
    assert credential_variables(template) == set()


@pytest.mark.parametrize("name", ["KEY", "KEY_LIVE", "TOKEN_2", "API_KEY_PROD", "SECRET_VALUE", "OAUTH_VALUE"])
def test_a_variable_with_a_secret_word_anywhere_is_a_credential(name: str) -> None:
    assert credential_variables(CallTemplate(url="wss://a.example/", message={"x": f"${{{name}}}"})) == {name}


def test_a_variable_under_a_secret_key_is_a_credential_whatever_its_name_is() -> None:
    message = {"password": "${HARMLESS}", "room": "${ROOM}"}
    assert credential_variables(CallTemplate(url="wss://a.example/", message=message)) == {"HARMLESS"}


def test_a_variable_in_the_query_is_a_credential_wherever_the_query_is_written() -> None:
    template = CallTemplate(
        url="wss://${HOST}/?a=${ONE}",
        query={"b": "${TWO}", "c": ["{{ vars.THREE }}", 1], "user": "${API_USER}"},
        before_connect=[{"http": {"url": "https://a.example/", "query": {"d": "$FOUR"}}}],
        feeds=[{"name": "f", "match": "true", "query": {"e": "${FIVE}"}}],
    )
    assert credential_variables(template) == {"ONE", "TWO", "THREE", "FOUR", "FIVE"}
    assert credential_variables(CallTemplate(url="wss://a.example/?a=${ONE}")) == {"ONE"}


def test_a_session_id_is_a_secret_but_no_login() -> None:
    assert is_session_name("session_id")
    assert not is_session_name("session_token_url")
    assert not is_session_name("ticket")


def test_the_secrets_of_an_http_response_are_found_by_every_name() -> None:
    body = {"user": "ada", "data": {"csrf": "c1"}, "list": ["x"]}
    assert list(secrets_in("page", "body", body)) == ["c1"]
    assert list(secrets_in("ticket", "body", body)) == ["c1", "x"]
