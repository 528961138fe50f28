"""The fields of a call template whose text becomes part of an HTTP request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from verification.security.bridge_fixture import JSONObject

TemplateFactory = Callable[[int, str], JSONObject]
"""Returns a call template for a listener at a port, with a text in the slot."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A field. `by_argument`: the text is the argument `v` of a call; otherwise it is in the manifest."""

    name: str
    make_template: TemplateFactory
    by_argument: bool = False


def _url(port: int, rest: str = "", scheme: str = "ws") -> str:
    return f"{scheme}://127.0.0.1:{port}/{rest}"


def _with(**fields: Callable[[str], object]) -> TemplateFactory:
    return lambda port, text: {"url": _url(port), **{name: make(text) for name, make in fields.items()}}


def _key(**fields: Callable[[str], str]) -> TemplateFactory:
    return _with(
        auth=lambda text: {
            "auth_type": "api_key",
            "api_key": "abc",
            **{name: make(text) for name, make in fields.items()},
        }
    )


def _basic(**fields: Callable[[str], str]) -> TemplateFactory:
    return _with(
        auth=lambda text: {
            "auth_type": "basic",
            "username": "ann",
            "password": "abc",
            **{name: make(text) for name, make in fields.items()},
        }
    )


def _token(auth_method: str, field: str) -> TemplateFactory:
    credentials = {"client_id": "id", "client_secret": "abc", "scope": "a", "auth_method": auth_method}
    return lambda port, text: {
        "url": _url(port),
        "auth": {"auth_type": "oauth2", "token_url": _url(port, scheme="http"), **credentials, field: text},
    }


def _before(make: Callable[[int, str], JSONObject]) -> TemplateFactory:
    return lambda port, text: {
        "url": _url(port),
        "before_connect": [{"http": {"url": _url(port, scheme="http"), **make(port, text)}}],
    }


SLOTS: Final = (
    Slot("header name", _with(headers=lambda text: {text: "abc"})),
    Slot("header value", _with(headers=lambda text: {"X-A": text})),
    Slot("header value by argument", _with(headers=lambda _: {"X-A": "{{ args.v }}"}), by_argument=True),
    Slot("header by argument", _with(header_fields=lambda _: ["v"]), by_argument=True),
    Slot("origin", _with(headers=lambda text: {"Origin": text})),
    Slot("subprotocol", _with(protocol=lambda text: ["b", text])),
    Slot("subprotocol by argument", _with(protocol=lambda _: ["b", "{{ args.v }}"]), by_argument=True),
    Slot("api key", _key(api_key=str)),
    Slot("name of an api key", _key(var_name=str)),
    Slot("api key in the query", _key(location=lambda _: "query", api_key=str)),
    Slot("name of an api key in the query", _key(location=lambda _: "query", var_name=str)),
    Slot("api key in a cookie", _key(location=lambda _: "cookie", api_key=str)),
    Slot("name of an api key in a cookie", _key(location=lambda _: "cookie", var_name=str)),
    Slot("user name", _basic(username=str)),
    Slot("password", _basic(password=str)),
    Slot("path", lambda port, text: {"url": _url(port, f"a/{text}/b")}),
    Slot("query", lambda port, text: {"url": _url(port, f"?a={text}&b=")}),
    Slot("path by argument", lambda port, _: {"url": _url(port, "a/{{ args.v }}/b")}, by_argument=True),
    Slot("query by argument", lambda port, _: {"url": _url(port, "?a=UTCP_ARG_v_UTCP_ARG&b=")}, by_argument=True),
    Slot("client_id over Basic", _token("basic", "client_id")),
    Slot("client_secret over Basic", _token("basic", "client_secret")),
    Slot("scope", _token("post", "scope")),
    Slot("header name of before_connect", _before(lambda _, text: {"headers": {text: "abc"}})),
    Slot("header value of before_connect", _before(lambda _, text: {"headers": {"X-A": text}})),
    Slot("header of before_connect by argument", _before(lambda _, text: {"headers": {"X-A": "{{ args.v }}"}}), True),
    Slot("path of before_connect", _before(lambda port, text: {"url": _url(port, text, "http")})),
    Slot("method of before_connect", _before(lambda _, text: {"method": text})),
)
