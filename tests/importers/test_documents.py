"""Real descriptions are imported whole: every operation is a tool, a feed, left out, or skipped for a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.report import count

from .sides import URL, feeds, import_file, problems_of, tools

CASES: list[tuple[str, dict[str, Any], int, int, int]] = [
    # file, options, imported, left out, skipped
    ("voiceblender/asyncapi.yaml", {"url": URL}, 67, 74, 2),
    ("voiceblender/asyncapi.yaml", {"url": URL, "everything": True}, 141, 0, 2),
    ("voiceblender/asyncapi.yaml", {"url": URL, "everything": True, "events": "none"}, 85, 56, 2),
    ("canton-json-ledger-2.6.yaml", {"url": URL}, 8, 0, 0),
    ("blueapi-stomp-2.6.yaml", {"url": URL}, 1, 0, 0),
    ("example-kraken-websocket-request-reply-message-filter-in-reply.yml", {"url": URL}, 5, 0, 0),
    ("example-kraken-websocket-request-reply-multiple-channels.yml", {"url": URL}, 5, 0, 0),
    ("example-slack-rtm.yml", {"url": URL}, 2, 0, 0),
    ("example-websocket-gemini.yml", {}, 1, 0, 0),
    ("example-gitter-streaming.yml", {"url": URL}, 1, 0, 0),
    ("chanx-calc-3.0.json", {}, 2, 0, 0),
    ("firebolt-core.json", {"url": URL}, 90, 50, 7),
    ("firebolt-core.json", {"url": URL, "everything": True}, 140, 0, 7),
    ("metamask-ethereum.json", {"url": URL}, 54, 0, 1),
    ("rpckit-tasks.json", {}, 3, 0, 0),
]


@pytest.mark.parametrize(("file", "options", "imported", "left_out", "skipped"), CASES)
@pytest.mark.parametrize("events", ["feeds", "streams"])
def test_every_operation_is_accounted_for_and_the_manifest_passes_the_check(
    file: str, options: dict[str, Any], imported: int, left_out: int, skipped: int, events: str, tmp_path: Path
) -> None:
    result = import_file(file, **{"events": events, **options})
    figures = count(result.description, result.selection)
    assert (figures.imported, figures.left_out.total(), figures.skipped) == (imported, left_out, skipped)
    assert problems_of(result, tmp_path) == []


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("example-gitter-streaming.yml", "server-not-websocket"),
        ("example-slack-rtm.yml", "server-not-websocket"),
        ("voiceblender/asyncapi.yaml", "server-missing"),
        ("blueapi-stomp-2.6.yaml", "server-missing"),
        ("firebolt-core.json", "server-missing"),
        ("voiceblender/openapi.yaml", "not-a-description"),
    ],
)
def test_what_has_no_websocket_endpoint_says_what_to_give(file: str, code: str) -> None:
    with pytest.raises(ImportFailed) as failed:
        import_file(file)
    assert failed.value.code == code
    assert "--url" in str(failed.value) or "OpenAPI" in str(failed.value)


def test_the_replies_of_voiceblender_are_matched_by_the_id_that_the_document_does_not_declare() -> None:
    result = import_file("voiceblender/asyncapi.yaml", url=URL, everything=True)
    called = [tool for tool in tools(result).values() if "match" in tool["tool_call_template"]["reply"]]
    assert len(called) == 84  # of 85 operations with a reply one has a parameter that is described nowhere
    assert {tool["tool_call_template"]["reply"]["match"] for tool in called} == {"message.request_id == request_id"}
    assert {tool["tool_call_template"]["reply"]["error"] for tool in called} == {"message.type == 'error'"}
    assert {tool["tool_call_template"]["reply"]["error_message"] for tool in called} == {"message.data.message"}
    assert tools(result)["get_leg"]["tool_call_template"]["message"] == {
        "type": "get_leg",
        "request_id": "{{ request_id }}",
        "payload": {"id": "{{ args.id }}"},
    }
    assert feeds(result)["v1_vsi"]["match"].startswith("message.type in ['leg.ringing', ")
    assert result.manifest["auto_reply"] == [{"match": "message.type == 'ping'", "send": {"type": "pong"}}]


def test_each_channel_of_canton_is_a_connection_whose_messages_are_the_result() -> None:
    result = import_file("canton-json-ledger-2.6.yaml", url="wss://ledger.example.com")
    listed = result.manifest["manual_call_templates"]
    assert [entry["name"] for entry in listed] == [
        "ledger_completions",
        "ledger_command_completions",
        "ledger_active_contracts",
        "ledger_updates",
    ]
    assert [entry["url"] for entry in listed] == [
        "wss://ledger.example.com/v2/commands/completions",
        "wss://ledger.example.com/v2/commands/command-completions",
        "wss://ledger.example.com/v2/state/active-contracts",
        "wss://ledger.example.com/v2/updates",
    ]
    template = listed[0]["tools"][0]["tool_call_template"]
    assert (template["keep_alive"], template["stream"]["until_close"]) == (False, True)
    assert template["reply"]["error"] == "message.code is defined"
    assert listed[0]["protocol"] == ["{{ vars.LEDGER_HTTP_API_KEY_AUTH | default(omit) }}"]


def test_the_address_of_gemini_has_its_parameter_and_its_query() -> None:
    result = import_file("example-websocket-gemini.yml")
    feed = feeds(result)["v1_marketdata"]
    assert result.manifest["url"] == "wss://api.gemini.com/v1/marketdata/{{ args.symbol }}"
    assert result.manifest["query"]["heartbeat"] == "{{ args.heartbeat }}"
    assert feed["inputs"]["required"] == ["symbol"]
    assert "btcusd" in feed["inputs"]["properties"]["symbol"]["enum"]


def test_a_method_that_says_how_it_reads_its_parameters_is_called_so() -> None:
    result = import_file("metamask-ethereum.json", url=URL)
    block = tools(result)["eth_getBlockByNumber"]
    assert list(block["inputs"]["properties"]) == ["Block", "hydrated_transactions"]
    assert block["tool_call_template"]["message"]["params"] == ["{{ args.Block }}", "{{ args.hydrated_transactions }}"]
    assert "tool_call_template" not in tools(result)["wallet_watchAsset"]  # by name, as the preset sends them
    assert feeds(result)["eth_subscribe"]["close"]["params"] == ["{{ reply.result }}"]
