"""A document with anything anywhere is imported in part or refused, and what is written loads."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import build_schema, introspection_from_schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.client.manifest_files import load_call_template
from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.model import Format, ImportOptions
from utcp_ws_mcp.importers.run import Imported, import_document
from utcp_ws_mcp.manifest.variables import VariableResolver

from .sides import DOCUMENTS, URL, entries, read_document
from .test_graphql import SCHEMA
from .test_har import TALK, entry, har
from .test_openrpc import KODI, MOPIDY, SUBSCRIPTIONS, TRUENAS
from .test_programs import CDP, OBS, SERVICES, pair, schemas

CHANX, KRAKEN, GEMINI, RPCKIT = (
    read_document(name)[0]
    for name in (
        "chanx-calc-3.0.json",
        "example-kraken-websocket-request-reply-multiple-channels.yml",
        "example-websocket-gemini.yml",
        "rpckit-tasks.json",
    )
)
PAIRS = schemas(
    a_send={**pair(text={"type": "string"}), "required": ["text"]}, a_receive=pair(text={"type": "integer"})
)
DOCUMENTS_: dict[str, tuple[Any, Format | None]] = {
    "chanx": (CHANX, None),
    "kraken": (KRAKEN, None),
    "gemini": (GEMINI, None),
    "rpckit": (RPCKIT, None),
    "ethereum": (SUBSCRIPTIONS[0][1], None),
    "kodi": (KODI, Format.OPENRPC),
    "mopidy": (MOPIDY, Format.OPENRPC),
    "truenas": (TRUENAS, Format.OPENRPC),
    "graphql": ({"data": introspection_from_schema(build_schema(SCHEMA))}, Format.GRAPHQL),
    "cdp": (CDP, Format.CDP),
    "obs": (OBS, Format.OBS),
    "services": (SERVICES, Format.HOMEASSISTANT),
    "har": (har(entry("wss://a.example.com/live", *TALK, headers={"Authorization": "Bearer abcdefgh"})), Format.HAR),
    "pairs": (PAIRS, Format.JSON_SCHEMA),
}
JUNK = st.sampled_from(
    [None, True, 0, 1.5, "", "x", [], {}, [None], {"a": 1}, "{{ x }}", "${HOME}", {"$ref": "#/nowhere"}, {"$ref": 3}]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every part of a document below its root."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


def replaced(document: Any, path: tuple[Any, ...], junk: Any) -> Any:
    changed = copy.deepcopy(document)
    part = changed
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = junk
    return changed


def must_load(result: Imported) -> None:
    for each in entries(result.manifest):
        known = dict.fromkeys([*result.description.variables, "HOME"], "a-value")
        load_call_template(each, VariableResolver([known]), "imported", DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS_)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_part_that_is_something_else_ends_in_a_manifest_or_in_a_clear_refusal(name: str, data: Any) -> None:
    document, kind = DOCUMENTS_[name]
    path = data.draw(st.sampled_from(list(places(document))))
    junk = data.draw(JUNK)
    changed = replaced(document, path, copy.deepcopy(junk))
    options = ImportOptions(url=URL, everything=True, events=data.draw(st.sampled_from(["feeds", "streams"])))
    try:
        result = import_document(changed, options, "document", kind, changed if kind is Format.JSON_SCHEMA else None)
    except ImportFailed as refused:
        assert "document" in str(refused) or "URL" in str(refused)  # noqa: PT017  # either outcome is right
        return
    json.dumps(result.manifest)
    must_load(result)


@pytest.mark.parametrize(
    "document",
    [
        {"asyncapi": "3.0.0", "info": {"$ref": "#/nowhere"}},
        {"data": {"__schema": {"queryType": {"name": "Q"}, "types": [{"kind": "ENUM", "name": 3, "enumValues": []}]}}},
    ],
)
def test_what_makes_a_whole_document_unreadable_is_said(document: Any) -> None:
    with pytest.raises(ImportFailed) as failed:
        import_document(document, ImportOptions(url=URL), "document")
    assert failed.value.code in ("description-malformed", "description-not-readable")


def test_a_reader_that_meets_what_it_does_not_expect_refuses_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("part")

    monkeypatch.setattr("utcp_ws_mcp.importers.run.describe", fail)
    with pytest.raises(ImportFailed, match=r"another form than the format demands \(KeyError\)") as failed:
        import_document({"openrpc": "1.3.2"}, ImportOptions(url=URL), "document")
    assert failed.value.code == "description-malformed"
