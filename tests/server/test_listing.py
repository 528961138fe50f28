"""The list of tools that hosts see."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import pytest

from tests.client.test_discovery import announces, manual
from tests.peer import PATIENCE, bridge_to, echo, entry, peer
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.secret_names import REDACTED
from utcp_ws_mcp.manifest.variables import VariableResolver
from utcp_ws_mcp.observability.events import WarningIssued
from utcp_ws_mcp.observability.redaction import redactor
from utcp_ws_mcp.server.listing import ToolListing, build_listing
from utcp_ws_mcp.server.result import ENVELOPE_BYTES, MessageOptions
from utcp_ws_mcp.server.tools import ToolService


async def test_a_manual_that_repeats_a_credential_does_not_show_it_to_the_model(tmp_path: Path) -> None:
    schema = {"properties": {"a": {"description": "s3cret-key", "default": "s3cret-key"}}}
    tool = {"name": "t", "description": "Asked with s3cret-key", "inputs": schema, "tags": ["s3cret-key"]}
    async with peer(announces(manual(tool))) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        assert await bridge.wait_discovered(PATIENCE)
        offered = build_listing(list(bridge.tools.values()), redactor(["s3cret-key"]))
    assert "s3cret" not in str(offered.modern + offered.handshake)
    assert f"Asked with {REDACTED}" in offered.modern[0]


def test_a_list_is_json_that_every_host_can_read_whatever_the_manifest_says() -> None:
    deep: list[object] = []
    for _ in range(70):
        deep = [deep]
    tool = {"name": "t", "description": "s3cret-key \ud800", "inputs": {"properties": {"a": {"default": deep}}}}
    document = [{"name": "m", "url": "wss://own.example/ws", "tools": [tool]}]
    plans, problems = compile_entry(load_document(document, VariableResolver([]), "m.json", PurePath()).entries[0])
    offered = build_listing(plans, redactor(["s3cret-key"]))
    (shown,) = json.loads(offered.modern[0].encode())
    assert (problems, shown["description"]) == ([], f"{REDACTED} \ufffd")
    assert "nested too deeply" in json.dumps(shown["inputSchema"])


def listed(*tools: dict[str, Any]) -> list[Any]:
    document = [{"name": "m", "url": "wss://own.example/ws", "tools": list(tools)}]
    compiled, problems = compile_entry(load_document(document, VariableResolver([]), "m.json", PurePath()).entries[0])
    assert not problems
    listing: list[Any] = json.loads(build_listing(compiled).handshake[0])
    return listing


def test_schemas_that_hosts_refuse_are_listed_in_another_form() -> None:
    odd = {"properties": {"any": True, "none": False, "$top": {"type": "integer"}}, "required": ["$top"]}
    (shown,) = listed({"name": "t", "inputs": odd, "outputs": {"type": "object", "properties": {"x": True}}})
    assert shown["inputSchema"] == {
        "type": "object",
        "properties": {"any": {}, "none": {"not": {}}, "top": {"type": "integer", "description": "Sent as '$top'."}},
        "required": ["top"],
    }


async def test_an_endpoint_gets_the_names_and_forms_of_its_own_schema(tmp_path: Path) -> None:
    properties = {"$top": {"type": "integer"}, "filter[name]": {"type": "array"}, "größe": {}}
    tool = {"name": "t", "inputs": {"properties": properties}, "tool_call_template": {"response_format": "json"}}
    warnings: list[Any] = []
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, tool), events=warnings) as bridge:
        tools = ToolService(bridge)
        found = await tools.find("m_t")
        assert found is not None
        for _ in range(2):
            result = await tools.call(found, {"top": 5.0, "filter_name": "[1]", "grosse": "[1]"}, _ignore)
            assert not result.is_error
    assert seen.received[0] == {"$top": 5, "filter[name]": [1], "größe": "[1]"}
    assert isinstance(seen.received[0]["$top"], int)
    texts = [event.text for event in warnings if isinstance(event, WarningIssued)]
    assert len(texts) == 1
    assert texts[0].endswith("[argument-read-from-text]")


async def test_a_tool_is_called_and_named_in_errors_by_the_name_that_hosts_know(tmp_path: Path) -> None:
    tool = {"name": "t", "inputs": {"properties": {"n": {"type": "integer"}}}}
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, tool)) as bridge:
        tools = ToolService(bridge)
        for name in ("m_t", "m.t"):
            found = await tools.find(name)
            assert found is not None
            (block,) = (await tools.call(found, {"n": "x"}, _ignore)).content
            assert block["text"].startswith("m_t: invalid arguments: ")


async def test_an_unknown_name_says_why_its_manual_has_no_tools(tmp_path: Path) -> None:
    async with bridge_to(tmp_path, {"name": "o", "url": "ws://localhost:9/"}) as bridge:
        tools = ToolService(bridge)
        assert await tools.find("o_echo") is None
        for name in ("o_echo", "o.echo"):
            text = tools.unknown_tool_message(name)
            assert text.startswith(f"there is no tool {name!r}: the tools of 'o' are not known: cannot connect to ")
            assert text.endswith(" [unknown-tool]")
        assert tools.unknown_tool_message("x_y") == (
            "there is no tool 'x_y'. List the tools to see their names. [unknown-tool]"
        )


async def test_a_foreign_tool_cannot_change_the_name_of_a_tool_of_the_manifest(tmp_path: Path) -> None:
    async with peer(announces(manual("eu_pay"))) as seen:
        document = [
            {**entry(seen), "name": "bank"},
            {"name": "bank_eu", "url": "wss://own.example/", "tools": [{"name": "pay"}]},
        ]
        async with bridge_to(tmp_path, {"manual_call_templates": document}) as bridge:
            assert await bridge.wait_discovered(PATIENCE)
            names = build_listing(list(bridge.tools.values())).names
    assert names["bank_eu.pay"] == "bank_eu_pay"
    assert re.fullmatch("bank_eu_pay_[0-9a-f]{8}", names["bank.eu_pay"])


async def _ignore(number: float, message: str) -> None: ...


def test_each_page_of_the_list_has_as_many_tools_as_fit() -> None:
    tools = [{"name": f"t{number}", "description": "ü" * (37 * number % 200)} for number in range(60)]
    document = [{"name": "m", "url": "wss://own.example/ws", "tools": tools}]
    compiled, _ = compile_entry(load_document(document, VariableResolver([]), "m.json", PurePath()).entries[0])
    whole = json.loads(build_listing(compiled).handshake[0])
    for limit in range(1000, 1100):
        pages = build_listing(compiled, options=MessageOptions(max_line_bytes=ENVELOPE_BYTES + limit)).handshake
        assert [tool for page in pages for tool in json.loads(page)] == whole
        for page, following in pairwise(pages):
            first = json.dumps(json.loads(following)[0], ensure_ascii=False, separators=(",", ":"))
            assert len(page.encode()) <= limit < len(f"{page},{first}".encode())


def compiled(*tools: dict[str, Any]) -> Any:
    document = [{"name": "m", "url": "wss://own.example/ws", "tools": list(tools)}]
    found, problems = compile_entry(load_document(document, VariableResolver([]), "m.json", PurePath()).entries[0])
    assert not problems
    return found


def test_a_tool_is_listed_with_all_that_is_known_of_it() -> None:
    annotations = {"title": "Pay", "readOnlyHint": False, "destructiveHint": True, "idempotentHint": False}
    tool = {"name": "pay", "description": "Pays.", "tags": ["money"], "annotations": annotations}
    first, second = listed(tool, {"name": "t"})
    assert {**first, "inputSchema": None} == {
        "name": "m_pay",
        "title": "Pay",
        "description": "Pays.",
        "inputSchema": None,
        "_meta": {"io.github.utcp-ws-mcp/tool": "m.pay", "io.github.utcp-ws-mcp/tags": ["money"]},
        "annotations": annotations,
    }
    assert {**second, "inputSchema": None} == {
        "name": "m_t",
        "title": "m.t",
        "description": "t of m",
        "inputSchema": None,
        "_meta": {"io.github.utcp-ws-mcp/tool": "m.t"},
    }


OUTPUTS = {"type": "object", "properties": {"a": {"type": "integer"}}}
ARRAY = {"type": "array", "items": {"type": "integer"}}


@pytest.mark.parametrize(
    ("outputs", "handshake", "modern"),
    [
        (OUTPUTS, OUTPUTS, OUTPUTS),
        (ARRAY, {"type": "object", "properties": {"result": ARRAY}, "required": ["result"]}, ARRAY),
        ({"type": ["integer", "null"]}, None, None),
        (None, None, None),
    ],
)
@pytest.mark.parametrize("form", ["auto", "both", "text"])
def test_outputs_are_promised_in_the_form_of_the_era(outputs: Any, handshake: Any, modern: Any, form: Any) -> None:
    tool = {"name": "t", "tool_call_template": {"response_format": "json"}}
    tools = compiled({**tool, **({"outputs": outputs} if outputs else {})})
    offered = build_listing(tools, options=MessageOptions(json_form=form))
    for pages, expected in ((offered.handshake, handshake), (offered.modern, modern)):
        (shown,) = json.loads(pages[0])
        assert shown.get("outputSchema") == (None if form == "text" else expected)


def test_a_tool_is_found_by_both_of_its_names() -> None:
    (tool,) = tools = compiled({"name": "t", "inputs": {"properties": {"a": {"type": "integer"}}}})
    offered = build_listing(tools, server_name="mine")
    assert offered.find("m_t") is offered.find("m.t") is tool
    assert offered.find("t") is None
    assert offered.find("") is None
    schema = offered.input_schema("m.t")
    assert schema is not None
    assert schema["properties"] == {"a": {"type": "integer"}}
    assert offered.input_schema("zzz") is None
    assert offered.names == {"m.t": "m_t"}


def test_arguments_get_their_own_names_back() -> None:
    odd, plain = compiled({"name": "t", "inputs": {"properties": {"$top": {}, "n": {}}}}, {"name": "u"})
    offered = build_listing([odd, plain])
    given = {"top": 1, "n": 2}
    assert offered.restore_arguments(odd, given) == {"$top": 1, "n": 2}
    assert offered.restore_arguments(plain, given) is given
    assert offered.restore_arguments(odd, None) is None
    assert offered.restore_arguments(odd, {}) == {}
    assert offered.arguments == {"m.t": {"top": "$top"}}


def test_a_tool_that_is_not_visible_leaves_the_names_of_others() -> None:
    tools = compiled({"name": "a"}, {"name": "b"})
    offered = build_listing(tools, visible=lambda tool: tool.name == "b")
    assert [*offered.tools] == ["m_b"]
    assert offered.find("m.a") is None


def test_only_tools_with_arguments_in_headers_are_noted() -> None:
    tools = compiled(
        {"name": "h", "inputs": {"properties": {"r": {"type": "string", "x-mcp-header": "R"}}}}, {"name": "t"}
    )
    assert build_listing(tools).in_headers == {"m_h"}


def test_a_cursor_names_a_page_but_the_first() -> None:
    pages = tuple(f"[{number}]" for number in range(3))
    offered = ToolListing({}, pages, pages[:1])
    assert [offered.page(cursor, modern=True) for cursor in (None, "1", "2")] == [
        ("[0]", "1"),
        ("[1]", "2"),
        ("[2]", None),
    ]
    for cursor in ("0", "3", "-1", "", "01", "x"):
        assert offered.page(cursor, modern=True) is None
    assert offered.page(None, modern=False) == ("[0]", None)
    assert offered.page("1", modern=False) is None


@pytest.mark.parametrize(("more", "is_listed"), [(-1, True), (0, False)])
def test_a_tool_that_needs_a_whole_message_is_not_listed(
    more: int, is_listed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    (tool,) = compiled({"name": "t", "description": "x" * 1000})
    size = len(build_listing([tool]).modern[0]) - 2
    limit = ENVELOPE_BYTES + size - more
    offered = build_listing([tool], options=MessageOptions(max_line_bytes=limit))
    assert [*offered.tools] == (["m_t"] if is_listed else [])
    assert caplog.messages == (
        [] if is_listed else ["m.t is not offered: its definition is longer than --max-line-bytes"]
    )


def test_a_list_without_tools_has_one_page() -> None:
    assert build_listing([]) == ToolListing({}, ("[]",), ("[]",))
