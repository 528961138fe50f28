"""The endpoint of a description: variables of its URL, the choice of a server, the fields of the call template."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.urls import Server, choose_server, endpoint_fields, fill_variables, variable_name


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"host": {"default": "a"}}, "a"),
        ({"host": {"default": 8080}}, "8080"),
        ({"host": {"enum": ["b", "c"]}}, "b"),
        ({"host": {"default": "a", "enum": ["b"]}}, "a"),
        ({"host": {"default": ""}}, "${SHOP_HOST}"),
        ({"host": {"default": None}}, "${SHOP_HOST}"),
        ({"host": {"enum": []}}, "${SHOP_HOST}"),
        ({"host": {"enum": "abc"}}, "${SHOP_HOST}"),
        ({"host": {"default": "{x}"}}, "${SHOP_HOST}"),
        ({"host": {}}, "${SHOP_HOST}"),
        ({"host": "a"}, "${SHOP_HOST}"),
        ({"other": {"default": "a"}}, "${SHOP_HOST}"),
        (None, "${SHOP_HOST}"),
        ([], "${SHOP_HOST}"),
    ],
)
def test_a_variable_of_a_url_has_its_default_or_must_be_set(variables: Any, expected: str) -> None:
    assert fill_variables("wss://{host}/x", variables, "Shop API") == f"wss://{expected}/x"


def test_an_empty_default_leaves_a_part_of_the_path_out() -> None:
    variables = {"tenant": {"default": ""}}
    assert fill_variables("wss://a.example.com/{tenant}", variables, "Shop") == "wss://a.example.com/"


def test_a_variable_without_default_is_none_that_every_environment_has() -> None:
    assert fill_variables("wss://{user}.example.com{path}", {}, None) == "wss://${API_USER}.example.com${API_PATH}"


def test_the_variables_of_a_url_may_be_references() -> None:
    url = fill_variables("{a}-{b}", {"a": 1, "b": 2}, "Shop", lambda value: {"default": f"n{value}"})
    assert url == "n1-n2"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("host", "HOST"),
        ("apiKey", "API_KEY"),
        ("v2Key", "V2_KEY"),
        ("API", "API"),
        ("x-api key", "X_API_KEY"),
        ("-x-", "X"),
        ("2nd", "VALUE_2ND"),
        ("→", "VALUE_"),
    ],
)
def test_a_variable_of_a_manifest_is_in_upper_case(name: str, expected: str) -> None:
    assert variable_name(name) == expected


HTTP, PLAIN, SECURE = (Server(f"{scheme}://{scheme}.example.com/") for scheme in ("https", "ws", "wss"))


@pytest.mark.parametrize(
    ("servers", "url", "chosen"),
    [
        ([HTTP, PLAIN, SECURE], None, PLAIN.url),
        ([SECURE, PLAIN], None, SECURE.url),
        ([SECURE], "ws://mine/", "ws://mine/"),
        ([], "ws://mine/", "ws://mine/"),
    ],
)
def test_the_first_websocket_is_the_endpoint_if_no_other_is_given(
    servers: list[Server], url: str | None, chosen: str
) -> None:
    assert choose_server(servers, url, "api.json").url == chosen


def test_a_description_without_a_server_asks_for_one() -> None:
    with pytest.raises(ImportFailed) as refused:
        choose_server([], None, "api.json")
    assert refused.value.code == "server-missing"
    assert "api.json names no server. Give the WebSocket endpoint with --url wss://…" in str(refused.value)


def test_a_description_without_a_websocket_names_up_to_three_of_its_servers_once() -> None:
    servers = [Server(f"https://{name}/") for name in ("a", "a", "c", "d")]
    with pytest.raises(ImportFailed) as refused:
        choose_server(servers, None, "api.json")
    assert refused.value.code == "server-not-websocket"
    assert "api.json names no WebSocket endpoint, only https://a/, https://c/. If the API has one" in str(refused.value)


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        ("wss://a.example.com/{{ args.room }}", {}),
        ("wss://${HOST}.example.com/{{ session.browser }}?t=${KEY_2}", {}),
        ("ws://127.0.0.1:9/", {}),
        ("ws://hub.local/", {"network": {"allow": ["private"], "plaintext": True}}),
    ],
)
def test_an_endpoint_has_the_fields_that_its_url_needs(url: str, fields: dict[str, Any]) -> None:
    assert endpoint_fields(url) == {"url": url, **fields}


@pytest.mark.parametrize("url", ["https://a.example.com/", "wss://", "x"])
def test_an_endpoint_that_is_no_websocket_is_refused(url: str) -> None:
    with pytest.raises(ImportFailed, match=r"the URL of the endpoint cannot be used: .* Give another one") as refused:
        endpoint_fields(url)
    assert refused.value.code == "server-not-usable"
