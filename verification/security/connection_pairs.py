"""Pairs of call templates that must not share a connection, as differences from a common template."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

JSONObject = dict[str, Any]


class Pair(NamedTuple):
    """Two templates and the arguments of their calls; `name` is the difference."""

    name: str
    one: JSONObject
    other: JSONObject
    arguments: tuple[JSONObject, JSONObject] = ({}, {})


def _key(**more: str) -> JSONObject:
    return {"auth": {"auth_type": "api_key", "api_key": "one", **more}}


def _basic(**more: str) -> JSONObject:
    return {"auth": {"auth_type": "basic", "username": "ann", "password": "one", **more}}


def _token(**more: str) -> JSONObject:
    credentials = {"client_id": "id", "client_secret": "one", "token_url": "http://127.0.0.1:{tokens}/t"}
    return {"auth": {"auth_type": "oauth2", **credentials, **more}}


def _first(message: Any) -> JSONObject:
    return {"on_connect": [{"send": message}]}


def _before(path: str) -> JSONObject:
    return {"before_connect": [{"http": {"url": "http://127.0.0.1:{tokens}/" + path}}]}


def _secure(**tls: Any) -> JSONObject:
    return {"url": "wss://localhost:{secure}/", "tls": {"ca_file": "ca.pem", **tls}}


ROOMS: Final = ({"room": "a"}, {"room": "b"})
BY_ARGUMENT: Final[dict[str, JSONObject]] = {
    "argument of the URL": {"url": "ws://127.0.0.1:{port}/{{ args.room }}"},
    "argument of a header": {"headers": {"X-A": "{{ args.room }}"}},
    "argument that is a header": {"header_fields": ["room"]},
    "argument of the login": _first({"join": "{{ args.room }}"}),
    "argument of before_connect": _before("{{ args.room }}"),
    "argument of a subprotocol": {"protocol": "{{ args.room }}"},
}

PAIRS: Final = (
    Pair("key", _key(), _key(api_key="two")),
    Pair("name of the key", _key(), _key(var_name="X-Other")),
    Pair("place of the key: query", _key(), _key(location="query")),
    Pair("place of the key: cookie", _key(), _key(location="cookie")),
    Pair("key or no key", _key(), {}),
    Pair("key in the query", _key(location="query"), _key(location="query", api_key="two")),
    Pair("key in a cookie", _key(location="cookie"), _key(location="cookie", api_key="two")),
    Pair("user", _basic(), _basic(username="bob")),
    Pair("password", _basic(), _basic(password="two")),
    Pair("Basic or no auth", _basic(), {}),
    Pair("Basic or key", _basic(), _key()),
    Pair("client", _token(), _token(client_id="other")),
    Pair("client's secret", _token(), _token(client_secret="two")),
    Pair("scope", _token(), _token(scope="admin")),
    Pair("audience", _token(), _token(audience="other")),
    Pair("token endpoint", _token(), _token(token_url="http://127.0.0.1:{tokens}/other")),
    Pair("token or no token", _token(), {}),
    Pair("header's value", {"headers": {"X-A": "1"}}, {"headers": {"X-A": "2"}}),
    Pair("header's name", {"headers": {"X-A": "1"}}, {"headers": {"X-B": "1"}}),
    Pair("header or no header", {"headers": {"X-A": "1"}}, {}),
    Pair("an additional header", {"headers": {"X-A": "1"}}, {"headers": {"X-A": "1", "X-B": "1"}}),
    Pair("origin header", {"headers": {"Origin": "https://a.example"}}, {"headers": {"Origin": "https://b.example"}}),
    Pair("subprotocol", {"protocol": "a"}, {"protocol": "b"}),
    Pair("subprotocol or no subprotocol", {"protocol": "a"}, {}),
    Pair("order of subprotocols", {"protocol": ["a", "b"]}, {"protocol": ["b", "a"]}),
    Pair("host", {}, {"url": "ws://localhost:{port}/"}),
    Pair("port", {}, {"url": "ws://127.0.0.1:{second}/"}),
    Pair("path", {}, {"url": "ws://127.0.0.1:{port}/other"}),
    Pair("query", {}, {"url": "ws://127.0.0.1:{port}/?a=1"}),
    Pair("TLS or no TLS", {}, _secure()),
    Pair("authority", _secure(), _secure(ca_file="copy.pem")),
    Pair("insecure TLS", _secure(), _secure(insecure=True)),
    Pair("client certificate", _secure(), _secure(client_cert="client.pem")),
    Pair("other client certificate", _secure(client_cert="client.pem"), _secure(client_cert="copy-of-client.pem")),
    Pair("allowed networks", {}, {"network": {"allow": ["private"]}}),
    Pair("other networks", {"network": {"allow": ["loopback"]}}, {"network": {"allow": ["127.0.0.1"]}}),
    Pair("plain text", {}, {"network": {"plaintext": True}}),
    Pair("login", _first("a"), _first("b")),
    Pair("login or no login", _first("a"), {}),
    Pair("request of before_connect", _before("a"), _before("b")),
    Pair("before_connect or no before_connect", _before("a"), {}),
    Pair("size limit", {}, {"limits": {"max_message_bytes": 5000}}),
    Pair("framing", {}, {"framing": {"codec": "text"}}),
    *(Pair(name, template, template, ROOMS) for name, template in BY_ARGUMENT.items()),
)
