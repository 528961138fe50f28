"""APIs whose URL has repeated and optional parameters, imitated, and called by an MCP client through a real process."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
from mcp import Client, StdioServerParameters

import utcp_ws_mcp
from tests.peer import PATIENCE, Peer, peer, silent

KEY = "k3y-of-deepgram"
TEXTS = {"type": "array", "items": {"type": "string"}}


def parameters(path: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(path).query, keep_blank_values=True, strict_parsing=bool(urlsplit(path).query))


@asynccontextmanager
async def client_of(folder: Path, document: Any, **environ: str) -> AsyncIterator[Client]:
    """An MCP client of a process that serves a manifest over stdio, with the package that is tested."""
    (folder / "m.json").write_text(json.dumps(document))
    arguments = ["-m", "utcp_ws_mcp", "serve", str(folder / "m.json")]
    env = {"PYTHONPATH": str(Path(utcp_ws_mcp.__file__).parents[1]), **environ}
    with anyio.fail_after(PATIENCE * 3):
        async with Client(StdioServerParameters(command=sys.executable, args=arguments, env=env)) as client:
            yield client


# Deepgram: https://developers.deepgram.com/reference/speech-to-text/listen-streaming


async def deepgram(seen: Peer, connection: Any, message: Any) -> None:
    """Transcribe audio as its number of bytes, and each keyword that the URL has."""
    asked = parameters(connection.request.path)
    if isinstance(message, bytes):
        words = [f"{len(message)} bytes", *asked.get("keywords", ())]
        channel = {"alternatives": [{"transcript": ", ".join(words)}]}
        await connection.send(json.dumps({"type": "Results", "is_final": True, "channel": channel}))
    elif message == {"type": "CloseStream"}:
        await connection.send(json.dumps({"type": "Metadata", "request_id": "r-1"}))
        await connection.close()


DEEPGRAM = {
    "name": "deepgram",
    "keep_alive": False,
    "headers": {"Authorization": "Token ${DEEPGRAM_API_KEY}"},
    "query": {
        "model": "{{ args.model }}",
        "language": "{{ args.language }}",
        "keywords": "{{ args.keywords }}",
        "punctuate": "{{ args.punctuate }}",
        "smart_format": True,
    },
    "tools": [
        {
            "name": "transcribe",
            "description": "Turn a short recording into text.",
            "inputs": {
                "type": "object",
                "properties": {
                    "audio": {"type": "string", "contentEncoding": "base64"},
                    "model": {"type": "string", "default": "nova-2"},
                    "language": {"type": ["string", "null"]},
                    "keywords": TEXTS,
                    "punctuate": {"type": "boolean"},
                },
                "required": ["audio"],
            },
            "tool_call_template": {
                "message": {"$base64": "{{ args.audio }}"},
                "then": [{"type": "CloseStream"}],
                "reply": {"ack": "message.type != 'Results'"},
                "stream": {
                    "until": "message.type == 'Metadata'",
                    "item": "message.channel.alternatives[0].transcript",
                    "collect": "text",
                },
            },
        }
    ],
}


async def test_deepgram_gets_repeated_keywords_and_none_that_are_not_given(tmp_path: Path) -> None:
    audio = base64.b64encode(b"\0" * 320).decode()
    async with peer(deepgram) as seen:
        document = {**DEEPGRAM, "url": f"{seen.url}v1/listen?encoding=linear16"}
        async with client_of(tmp_path, document, DEEPGRAM_API_KEY=KEY) as client:
            (tool,) = (await client.list_tools()).tools
            assert tool.input_schema["properties"]["keywords"] == TEXTS
            with_all = {"keywords": ["snuffleupagus:5", "A&B é"], "punctuate": False, "language": "de"}
            results = [
                await client.call_tool("deepgram_transcribe", {"audio": audio, **each})
                for each in (with_all, {}, {"keywords": [], "language": None})
            ]
    assert [each.is_error for each in results] == [False] * 3
    assert "320 bytes, snuffleupagus:5, A&B é" in results[0].content[0].text
    usual = {"encoding": ["linear16"], "model": ["nova-2"], "smart_format": ["true"]}
    assert [parameters(each.path) for each in seen.upgrades] == [
        {**usual, "language": ["de"], "keywords": ["snuffleupagus:5", "A&B é"], "punctuate": ["false"]},
        usual,
        usual,
    ]
    assert {each.headers["Authorization"] for each in seen.upgrades} == {f"Token {KEY}"}


# Jetstream: https://github.com/bluesky-social/jetstream


COLLECTIONS = ["app.bsky.feed.post", "app.bsky.feed.like", "app.bsky.graph.follow"]


async def jetstream(connection: Any) -> None:
    """Send an event of each wanted collection; of all, if none is named."""
    wanted = parameters(connection.request.path).get("wantedCollections", COLLECTIONS)
    for number, collection in enumerate(each for each in COLLECTIONS if each in wanted):
        commit = {"operation": "create", "collection": collection, "rkey": f"r{number}"}
        await connection.send(json.dumps({"did": "did:plc:a", "time_us": number, "kind": "commit", "commit": commit}))


JETSTREAM = {
    "name": "jetstream",
    "query": {
        "wantedCollections": "{{ args.collections }}",
        "wantedDids": "{{ args.dids }}",
        "cursor": "{{ args.cursor }}",
        "maxMessageSizeBytes": 0,
    },
    "feeds": [
        {
            "name": "commits",
            "description": "Commits of the network.",
            "inputs": {
                "type": "object",
                "properties": {"collections": TEXTS, "dids": TEXTS},
            },
            "match": "message.kind == 'commit'",
            "item": "message.commit.collection",
        }
    ],
    "tools": [
        {
            "name": "next",
            "description": "The next commits.",
            "inputs": {
                "type": "object",
                "properties": {"collections": TEXTS, "dids": TEXTS, "cursor": {"type": "integer"}},
            },
            "tool_call_template": {
                "listen": True,
                "keep_alive": False,
                "stream": {"match": "message.kind == 'commit'", "item": "message.commit.collection", "max_items": 2},
            },
        }
    ],
}


async def test_jetstream_gets_one_parameter_for_each_collection(tmp_path: Path) -> None:
    posts_and_likes = COLLECTIONS[:2]
    async with peer(silent, greet=jetstream) as seen:
        async with client_of(tmp_path, {**JETSTREAM, "url": f"{seen.url}subscribe"}) as client:
            calls: list[dict[str, Any]] = [
                {"collections": posts_and_likes, "cursor": 1725519626134432},
                {"collections": COLLECTIONS[1:], "dids": ["did:plc:a", "did:web:b.example"]},
                {},
            ]
            results = [await client.call_tool("jetstream_next", each) for each in calls]
            feeds = [
                await client.call_tool("jetstream_commits_events", {**each, "wait_seconds": 5, "max_events": 1})
                for each in ({"collections": COLLECTIONS[2:]}, {"collections": COLLECTIONS[:1]}, {})
            ]
    found = [json.loads(each.content[0].text)["items"] for each in results]
    assert found == [posts_and_likes, COLLECTIONS[1:], posts_and_likes]
    events = [each.structured_content["events"][0]["data"] for each in feeds]
    assert events == [COLLECTIONS[2], COLLECTIONS[0], COLLECTIONS[0]]
    post, like, follow = (f"wantedCollections={each}" for each in COLLECTIONS)
    dids = "wantedDids=did%3Aplc%3Aa&wantedDids=did%3Aweb%3Ab.example"
    assert [each.path.removesuffix("maxMessageSizeBytes=0") for each in seen.upgrades] == [
        f"/subscribe?{post}&{like}&cursor=1725519626134432&",
        f"/subscribe?{like}&{follow}&{dids}&",
        "/subscribe?",
        f"/subscribe?{follow}&",
        f"/subscribe?{post}&",
        "/subscribe?",
    ]


async def test_what_cannot_be_a_parameter_is_said_to_the_client(tmp_path: Path) -> None:
    tool = {
        "name": "find",
        "description": "Find.",
        "inputs": {"type": "object", "properties": {"filter": {"type": "object"}}},
        "tool_call_template": {"query": {"filter": "{{ args.filter }}"}},
    }
    async with peer(silent) as seen:
        async with client_of(tmp_path, {"name": "m", "url": seen.url, "tools": [tool]}) as client:
            result = await client.call_tool("m_find", {"filter": {"a": 1}})
    assert result.is_error
    assert "the query parameter 'filter' is an object" in result.content[0].text
    assert "[invalid-query-value]" in result.content[0].text
    assert seen.upgrades == []
