"""What is said of an endpoint that seems to demand a login."""

from __future__ import annotations

import json
from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import decode
from utcp_ws_mcp.core.login_demand import MAX_DEMAND_LENGTH, login_hint, preset_with_login_for
from utcp_ws_mcp.manifest.models.call_template import CallTemplate
from utcp_ws_mcp.manifest.presets import preset_names, preset_signs

PERHAPS = "Perhaps the endpoint expects a login first, and the call template has none"


def template(**fields: Any) -> CallTemplate:
    return CallTemplate.model_validate({"name": "m", "url": "wss://a.example/", **fields})


@pytest.mark.parametrize(
    "said",
    [
        '{"type": "auth_needed"}',
        '{"error": {"code": 401, "message": "Authentication required"}}',
        "Please authenticate first",
        "not authenticated",
        "Unauthorized",
        "You must be logged in",
        "requires a valid access token",
        "Missing API key",
        "login required",
        "ERROR NEEDS_AUTH",
    ],
)
def test_words_that_demand_a_login_are_explained_with_the_fields_to_write(said: str) -> None:
    expected = f'{PERHAPS}. Write its messages in "on_connect"; credentials of the handshake belong in "auth".'
    assert login_hint(template(), [None, said]) == login_hint(template(), [decode(said)]) == expected


@pytest.mark.parametrize(
    "said",
    [
        '{"type": "auth_ok"}',
        '{"authenticated": true}',
        "the author is missing",
        "invalid argument",
        "no such user",
        "password required",
        "login failed: wrong password",
        "",
        "auth required " + "x" * MAX_DEMAND_LENGTH,
    ],
)
def test_other_words_are_no_demand(said: str) -> None:
    assert login_hint(template(), [said, None, decode(said)]) == ""


@pytest.mark.parametrize(
    ("code", "is_demand"), [(3000, True), (3003, True), (4401, True), (4403, True), (1000, False), (None, False)]
)
def test_the_codes_for_unauthorized_are_a_demand(code: int | None, is_demand: bool) -> None:
    assert login_hint(template(), [""], code).startswith(PERHAPS) is is_demand


@pytest.mark.parametrize(
    "fields",
    [
        {"auth": {"auth_type": "basic", "username": "u", "password": "p"}},
        {"on_connect": [{"send": "login"}]},
        {"before_connect": [{"http": {"url": "https://a.example/ticket"}}]},
        {"before_message": [{"http": {"url": "https://a.example/ticket"}}]},
        {"query": {"token": "{{ vars.TOKEN }}"}},
        {"url": "wss://a.example/?token=x"},
        {"headers": {"X-Key": "{{ vars.KEY }}"}},
        {"header_fields": ["key"]},
        {"protocol": ["bearer.{{ vars.TOKEN }}"]},
        {"feeds": [{"name": "f", "match": "true", "query": {"key": "${KEY}"}}]},
        {"feeds": [{"name": "f", "match": "true", "open": [{"send": {"login": "${KEY}"}}]}]},
        {"feeds": [{"name": "f", "match": "true", "open": [{"send": {"op": "login", "password": "x"}}]}]},
        {"url": "wss://a.example/v2/${KEY}"},
        {"tls": {"client_cert": "me.pem"}},
        {"auto_reply": [{"match": "message.challenge", "send": {"answer": "{{ vars.KEY }}"}}]},
        {"message": {"token": "{{ vars.TOKEN }}"}},
        {"message": {"login": [{"user": "{{ args.user }}", "password": "{{ args.password }}"}]}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_nothing_is_said_of_a_call_template_that_may_log_in(fields: Any) -> None:
    assert login_hint(template(**fields), ["authentication required"], 4401) == ""


def test_a_call_template_with_headers_that_carry_no_credential_has_no_login() -> None:
    assert login_hint(template(headers={"Origin": "https://a.example"}), ["login required"]) != ""


def test_a_variable_for_the_host_of_a_url_is_no_credential() -> None:
    assert login_hint(template(url="wss://${HOST}:${PORT}/api"), ["login required"]) != ""


SIGNS = {
    "homeassistant": [{"type": "auth_required", "ha_version": "1"}, {"type": "auth_invalid", "message": "no"}],
    "obs5": [{"op": 0, "d": {"obsWebSocketVersion": "5.1.0", "rpcVersion": 1}}],
}


def test_a_preset_whose_sign_is_sent_is_named_instead() -> None:
    assert preset_signs().keys() == SIGNS.keys() <= preset_names()
    for preset, values in SIGNS.items():
        for value in values:
            assert preset_with_login_for(value) == preset
            message = decode(json.dumps(value))
            expected = f'{PERHAPS}; "preset": "{preset}" has one for endpoints that send such messages.'
            assert login_hint(template(), ["closed", message]) == expected


@pytest.mark.parametrize("value", [None, "text", b"bytes", [], {}, {"type": "auth_ok"}, {"op": 0}, {"op": 0, "d": 1}])
def test_no_preset_is_named_for_other_messages(value: Any) -> None:
    assert preset_with_login_for(value) is None
