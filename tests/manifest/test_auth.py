import base64

import pytest
from pydantic import ValidationError

from utcp_ws_mcp.manifest.models.auth import Credentials, credentials_for
from utcp_ws_mcp.manifest.models.call_template import CallTemplate

KEY = {"auth_type": "api_key", "api_key": "key-123"}
BASIC = {"auth_type": "basic", "username": "Aladdin", "password": "open sesame"}
OAUTH2 = {"auth_type": "oauth2", "token_url": "https://a.example/t", "client_id": "id", "client_secret": "cs-123"}

CARRIED = {
    "none": (None, None, Credentials()),
    "a key in a header": (KEY, None, Credentials(headers=(("X-Api-Key", "key-123"),))),
    "a key in a named header": (
        KEY | {"var_name": "Authorization"},
        None,
        Credentials(headers=(("Authorization", "key-123"),)),
    ),
    "a key in the query": (
        KEY | {"location": "query", "var_name": "key"},
        None,
        Credentials(query=(("key", "key-123"),)),
    ),
    "a key in a cookie": (
        KEY | {"location": "cookie", "var_name": "sid"},
        None,
        Credentials(headers=(("Cookie", "sid=key-123"),)),
    ),
    "basic, the example of RFC 7617": (
        BASIC,
        None,
        Credentials(headers=(("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),)),
    ),
    "basic in UTF-8, the example of RFC 7617": (
        BASIC | {"username": "test", "password": "123£"},
        None,
        Credentials(headers=(("Authorization", "Basic dGVzdDoxMjPCow=="),)),
    ),
    "a password with colons": (
        BASIC | {"password": "a:b"},
        None,
        Credentials(headers=(("Authorization", "Basic " + base64.b64encode(b"Aladdin:a:b").decode()),)),
    ),
    "a token": (OAUTH2, "tok", Credentials(headers=(("Authorization", "Bearer tok"),))),
    "no token yet": (OAUTH2, None, Credentials()),
    "a token for no credentials": (None, "tok", Credentials()),
    "a token is for OAuth2 only": (KEY, "tok", Credentials(headers=(("X-Api-Key", "key-123"),))),
}

REFUSED = {
    "a user name with a colon": BASIC | {"username": "a:b"},
    "a user name that UTF-8 cannot encode": BASIC | {"username": "ann\udcff"},
    "a password that UTF-8 cannot encode": BASIC | {"password": "open sesame\udcff"},
    "a key that UTF-8 cannot encode": KEY | {"api_key": "key-123\ud800"},
    "a client's secret that UTF-8 cannot encode": OAUTH2 | {"client_secret": "cs-123\udcff"},
    "a key without its value": {"auth_type": "api_key"},
    "an unknown kind": {"auth_type": "digest"},
    "no kind": {"api_key": "key-123"},
    "an unknown key": KEY | {"varname": "X"},
    "an unknown place": KEY | {"location": "body"},
    "an unknown method": OAUTH2 | {"auth_method": "jwt"},
    "no token URL": {"auth_type": "oauth2", "client_id": "id", "client_secret": "cs-123"},
}


def parse(auth):
    return CallTemplate.model_validate({"url": "wss://a.example/", "auth": auth}).auth


@pytest.mark.parametrize(("auth", "token", "expected"), CARRIED.values(), ids=CARRIED)
def test_credentials_go_where_the_auth_says(auth, token, expected):
    assert credentials_for(parse(auth), token) == expected


@pytest.mark.parametrize("auth", REFUSED.values(), ids=REFUSED)
def test_invalid_auth_is_rejected_without_repeating_its_secrets(auth):
    with pytest.raises(ValidationError) as refused:
        parse(auth)

    assert "key-123" not in str(refused.value)
    assert "cs-123" not in str(refused.value)
    assert "open sesame" not in str(refused.value)


@pytest.mark.parametrize("auth", [KEY, BASIC, OAUTH2], ids=lambda auth: auth["auth_type"])
def test_secrets_are_not_shown(auth):
    parsed = parse(auth)

    for shown in (repr(parsed), str(parsed), repr(credentials_for(parsed, "tok-123")), parsed.model_dump_json()):
        assert not [secret for secret in ("key-123", "open sesame", "cs-123", "tok-123") if secret in shown]


def test_auth_cannot_be_changed():
    with pytest.raises(ValidationError):
        parse(KEY).var_name = "Other"
