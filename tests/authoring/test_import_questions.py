"""Endpoints that are asked for their own description."""

from __future__ import annotations

import json
from typing import Any

import pytest

from utcp_ws_mcp.authoring import import_questions
from utcp_ws_mcp.authoring.import_questions import LATER_QUESTION_TIMEOUT, QUESTION_TIMEOUT, _questions
from utcp_ws_mcp.authoring.import_sources import SourceOptions, read_source
from utcp_ws_mcp.client.manifest_files import load_call_template
from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.model import Format
from utcp_ws_mcp.importers.openrpc.introspection import QUESTIONS

from ..peer import Answer, Peer, peer, silent

OPENRPC = {"openrpc": "1.2.6", "info": {"title": "x", "version": "1"}, "methods": []}


def options(format_: Format | None = None, preset: str | None = None, **given: Any) -> SourceOptions:
    headers, variables = given.get("headers", {}), given.get("variables", {})
    return SourceOptions(format_, preset, headers, variables, remote_references=False)


def answering(**results: Any) -> Answer:
    """Answer the questions of JSON-RPC that have a result, and refuse the others with the URL of a token."""

    async def answer(_: Peer, connection: Any, message: Any) -> None:
        reply = (
            {"result": results[message["method"]]}
            if message["method"] in results
            else {"error": "no\u200b such method"}
        )
        if isinstance(reply.get("error"), str):
            reply = {"error": {"code": -32601, "message": reply["error"]}}
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}))

    return answer


async def test_the_first_answer_is_the_description_and_ends_the_questions() -> None:
    methods = list(QUESTIONS)
    async with peer(answering(**{methods[1]: OPENRPC})) as seen:
        source = await read_source(f"{seen.url}?token=x", options())
    assert [message["method"] for message in seen.received] == methods[:2]
    assert [message["params"] for message in seen.received] == list(QUESTIONS.values())[:2]
    assert (source.name, source.url, source.format) == (seen.url, f"{seen.url}?token=x", Format.OPENRPC)
    assert (source.document, source.fields, source.others) == (OPENRPC, {}, {})


async def test_an_endpoint_that_answers_no_question_is_an_error_with_what_it_said() -> None:
    async with peer(answering()) as seen:
        with pytest.raises(ImportFailed) as failed:
            await read_source(f"{seen.url}?token=secret", options(Format.OPENRPC))
    assert [message["method"] for message in seen.received] == list(QUESTIONS)
    message = failed.value.message
    assert message.startswith(f"{seen.url} does not describe itself: {', '.join(QUESTIONS)}: ")
    assert message.count("such method") == 1
    assert (failed.value.code, "secret" in message, "\u200b" in message) == ("endpoint-not-described", False, False)
    assert message.endswith("Check the URL, --header and --preset, or give a file with the description.")


async def test_the_preset_whose_endpoints_send_such_messages_is_named() -> None:
    async def refuse(_: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"type": "auth_invalid", "message": "no"}))
        await connection.close()

    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"type": "auth_required", "ha_version": "2026.1"}))

    async with peer(refuse, greet=greet) as seen:
        with pytest.raises(ImportFailed, match="of the preset homeassistant send such messages: try --preset homeass"):
            await read_source(seen.url, options())


@pytest.mark.parametrize(
    ("format_", "presets"), [(Format.OPENRPC, ["jsonrpc2"]), (None, ["jsonrpc2", "graphql-transport-ws"])]
)
async def test_an_endpoint_that_cannot_be_reached_is_asked_once_for_each_preset(
    format_: Format | None, presets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def load(document: Any, *rest: Any) -> Any:
        loaded.append(document["preset"])
        return load_call_template(document, *rest)

    monkeypatch.setattr(import_questions, "load_call_template", load)
    with pytest.raises(ImportFailed) as failed:
        await read_source("ws://localhost:1/", options(format_))
    assert loaded == presets
    assert failed.value.message.count("localhost:1") == 2  # its URL, and why nothing was sent


async def test_headers_are_sent_and_the_manifest_gets_the_names_of_their_secrets() -> None:
    headers = {"Authorization": "Bearer ${TOKEN}", "X-Api-Key": "abcdefgh12345678", "X-Kind": "test"}
    async with peer(answering(**{next(iter(QUESTIONS)): OPENRPC})) as seen:
        source = await read_source(seen.url, options(headers=headers, variables={"TOKEN": "s3cret-value"}))
    sent = seen.upgrades[0].headers
    assert [sent[name] for name in headers] == ["Bearer s3cret-value", "abcdefgh12345678", "test"]
    written = source.fields["headers"]
    assert (written["Authorization"], written["X-Kind"]) == ("Bearer ${TOKEN}", "test")
    assert written["X-Api-Key"].startswith("${")
    assert "abcdefgh12345678" not in json.dumps(source.fields)


async def test_a_header_whose_variable_is_not_set_is_not_sent() -> None:
    async with peer(answering()) as seen:
        with pytest.raises(ImportFailed) as failed:
            await read_source(seen.url, options(Format.OPENRPC, headers={"X-Key": "${TOKEN}"}))
    assert (seen.upgrades, seen.received) == ([], [])
    assert "the endpoint cannot be asked: TOKEN is not set. Set it, or give --env-file." in failed.value.message


async def test_graphql_is_asked_with_the_query_that_describes_its_schema() -> None:
    async def answer(_: Peer, connection: Any, message: Any) -> None:
        if message["type"] == "connection_init":
            await connection.send('{"type": "connection_ack"}')
        elif message["type"] == "subscribe":
            payload = {"data": {"__schema": {"queryType": {"name": "Query"}}}}
            await connection.send(json.dumps({"id": message["id"], "type": "next", "payload": payload}))
            await connection.send(json.dumps({"id": message["id"], "type": "complete"}))

    async with peer(answer, subprotocols=["graphql-transport-ws"]) as seen:
        source = await read_source(seen.url, options(Format.GRAPHQL))
    assert source.format is Format.GRAPHQL
    assert "__schema" in json.dumps(source.document)
    (query,) = (each["payload"]["query"] for each in seen.received if each["type"] == "subscribe")
    assert query.count("__schema") == 1


RPC = [(name, "jsonrpc2") for name in QUESTIONS]
GRAPHQL = [("introspection", "graphql-transport-ws")]
ASKED: list[tuple[str, Format | None, str | None, list[tuple[str, str]]]] = [
    ("ws://a/", None, None, RPC + GRAPHQL),
    ("ws://a/GraphQL", None, None, GRAPHQL + RPC),
    ("ws://a/graphql", Format.OPENRPC, None, RPC),
    ("ws://a/graphql", None, "jsonrpc2", RPC),
    ("ws://a/", None, "mopidy", [(name, "mopidy") for name in QUESTIONS]),
    ("ws://a/", Format.GRAPHQL, None, GRAPHQL),
    ("ws://a/", None, "graphql-transport-ws", GRAPHQL),
    ("ws://a/", None, "other", [(name, "other") for name in QUESTIONS] + GRAPHQL),
    ("ws://a/", None, "homeassistant", [("get_services", "homeassistant")]),
    ("ws://a/graphql", Format.HOMEASSISTANT, None, [("get_services", "homeassistant")]),
]


@pytest.mark.parametrize(("url", "format_", "preset", "asked"), ASKED)
def test_what_the_options_or_the_url_say_is_asked_first(
    url: str, format_: Format | None, preset: str | None, asked: list[tuple[str, str]]
) -> None:
    questions = _questions(url, options(format_, preset))
    assert [(tool["name"], preset) for _, preset, tool in questions] == asked
    formats = {"introspection": Format.GRAPHQL, "get_services": Format.HOMEASSISTANT}
    assert [each[0] for each in questions] == [formats.get(name, Format.OPENRPC) for name, _ in asked]


def test_an_endpoint_has_some_seconds_for_its_answer() -> None:
    assert (QUESTION_TIMEOUT, LATER_QUESTION_TIMEOUT) == (20, 3)


async def test_an_endpoint_that_leaves_a_question_unanswered_has_less_time_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeouts: list[float] = []

    def load(document: Any, *rest: Any) -> Any:
        timeouts.append(document["timeout"])
        return load_call_template(document, *rest)

    monkeypatch.setattr(import_questions, "load_call_template", load)
    monkeypatch.setattr(import_questions, "QUESTION_TIMEOUT", 0.1)
    monkeypatch.setattr(import_questions, "LATER_QUESTION_TIMEOUT", 0.05)
    async with peer(silent) as seen:
        with pytest.raises(ImportFailed):
            await read_source(seen.url, options(Format.OPENRPC))
    assert timeouts == [0.1, *[0.05] * (len(QUESTIONS) - 1)]
