"""JSON-RPC batches over HTTP, in the revision that demands them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.peer import PATIENCE, entry, jsonrpc, peer
from tests.server.http.test_app import BEARER, POST, RPC, initialize, served
from tests.server.stdio.test_batches import INVALID, LIST, NOTIFICATION, PING, UNKNOWN, call

OLD = "2025-03-26"


@asynccontextmanager
async def session(folder: Path, version: str = OLD, **options: Any) -> AsyncIterator[tuple[httpx2.AsyncClient, str]]:
    """An HTTP client with a session of a revision, and the URL."""
    async with peer(jsonrpc) as seen, served(folder, entry(seen, "t", **RPC), **options) as url:
        async with httpx2.AsyncClient(headers={**BEARER, **POST}, timeout=PATIENCE) as http:
            opening = initialize()
            opening["params"]["protocolVersion"] = version
            opened = await http.post(url, json=opening)
            if "mcp-session-id" in opened.headers:
                http.headers["mcp-session-id"] = opened.headers["mcp-session-id"]
            await http.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
            yield http, url


def events(response: httpx2.Response) -> list[Any]:
    return [
        json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line.startswith("data: {")
    ]


@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize(
    ("batch", "answered"),
    [
        ([PING], {1: "result"}),
        ([PING, LIST, call(7, n=1)], {1: "result", "two": "result", 7: "result"}),
        ([NOTIFICATION, PING, NOTIFICATION], {1: "result"}),
        ([UNKNOWN, PING], {3: "error", 1: "result"}),
        ([INVALID, 5, PING], {4: "error", None: "error", 1: "result"}),
    ],
    ids=["one", "several", "notifications", "unknown method", "invalid"],
)
async def test_the_messages_of_a_batch_are_answered_in_one_stream(
    tmp_path: Path, batch: list[Any], answered: dict[Any, str], stateless: bool
) -> None:
    async with session(tmp_path, stateless=stateless) as (http, url):
        response = await http.post(url, json=batch)
    found = {answer["id"]: kind for answer in events(response) for kind in answer.keys() & {"result", "error"}}
    assert (response.status_code, found) == (200, answered)


@pytest.mark.parametrize(
    ("batch", "status"),
    [
        ([NOTIFICATION, NOTIFICATION], 202),
        ([INVALID, 5], 400),
        ([], 400),
        ([initialize(), PING], 400),
        ([PING] * 101, 400),
    ],
    ids=["notifications", "invalid", "empty", "initialize", "too many"],
)
async def test_a_batch_without_requests_has_a_status(tmp_path: Path, batch: list[Any], status: int) -> None:
    async with session(tmp_path) as (http, url):
        assert (await http.post(url, json=batch)).status_code == status
        assert (await http.post(url, json=PING)).status_code == 200


async def test_a_batch_of_an_unknown_session_is_not_found(tmp_path: Path) -> None:
    async with session(tmp_path) as (http, url):
        response = await http.post(url, json=[PING, LIST], headers={"mcp-session-id": "0" * 32})
    assert response.status_code == 404


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
async def test_other_revisions_have_no_batches(tmp_path: Path, version: str) -> None:
    async with session(tmp_path, version) as (http, url):
        response = await http.post(url, json=[PING], headers={"MCP-Protocol-Version": version})
    assert response.status_code == 400
