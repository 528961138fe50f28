"""Names that replicas share: equal for equal connections, different for others, without secrets."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from utcp_ws_mcp.core.fleet_keys import connection_digest, fleet_key, text_digest
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver


def digest(*definition: str, **fields: Any) -> str:
    entry = {"name": "m", "url": "wss://a.example/", **fields, "tools": [{"name": "t"}]}
    loaded = load_document([entry], VariableResolver([{"TOKEN": "s3cret"}]), "m.json", PurePath("/m"))
    tools, problems = compile_entry(loaded.entries[0])
    assert not problems
    return connection_digest(tools[0].compiled_template.handshake, *definition)


def test_a_name_has_the_fleet_in_braces_and_its_parts_encoded() -> None:
    assert fleet_key("prod") == "utcp-ws:{prod}"
    assert fleet_key("a:b/c", "lease", "x:y}") == "utcp-ws:{a%3Ab%2Fc}:lease:x%3Ay%7D"


def test_a_digest_has_24_digits_and_depends_on_each_part() -> None:
    assert text_digest("a", ["b"]) == text_digest("a", ["b"])
    assert len(text_digest()) == 24
    assert int(text_digest("a"), 16)
    assert len({text_digest(), text_digest(""), text_digest("a"), text_digest("a", ""), text_digest(["a"])}) == 5


def test_connections_that_are_written_differently_have_other_digests() -> None:
    plain = digest()
    others = [
        digest(url="wss://b.example/"),
        digest(headers={"X-A": "1"}),
        digest(query={"a": "1"}),
        digest(query={"a": "2"}),
        digest(on_connect=[{"send": "HELLO"}]),
        digest(auth={"auth_type": "api_key", "api_key": "k", "var_name": "X-Key", "location": "header"}),
        digest("more"),
    ]
    assert plain == digest()
    assert len({plain, *others}) == 8


def test_the_value_of_a_header_and_a_secret_are_no_part_of_a_digest() -> None:
    assert digest(headers={"X-A": "1"}) == digest(headers={"x-a": "2"})
    assert digest(headers={"X-A": "1", "B": "2"}) == digest(headers={"B": "1", "X-A": "2"})
    keys = [{"auth_type": "api_key", "api_key": key, "var_name": "X-Key", "location": "header"} for key in "ab"]
    assert digest(auth=keys[0]) == digest(auth=keys[1])
