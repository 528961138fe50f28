"""The download manager aria2."""

from __future__ import annotations

import re

import anyio

from verification.real.tools import ToolClient


async def version(tools: ToolClient) -> None:
    """The secret is in the parameters."""
    result = await tools.json("version")
    assert re.match(r"1\.\d+", result["version"])
    assert "BitTorrent" in result["enabledFeatures"]


async def add_uri(tools: ToolClient) -> None:
    """A download has a gid."""
    gid = await tools.text("add_uri", uri=f"{tools.variables['FILES']}/sample.bin", out="one.bin")
    assert re.fullmatch("[0-9a-f]{16}", gid)
    tools.remember(gid=gid)


async def status_after(tools: ToolClient) -> None:
    """The gid that one call gave is an argument of the next."""
    gid = tools.recall("gid")
    status: dict[str, str] = {}
    while status.get("status") != "complete":
        await anyio.sleep(0.1)
        status = await tools.json("status", gid=gid)
    assert status == {"gid": gid, "status": "complete", "totalLength": "65536", "completedLength": "65536"}


async def download_and_watch(tools: ToolClient) -> None:
    """Notifications belong to the call by the gid that only its reply tells."""
    stream = await tools.stream("download", uri=f"{tools.variables['FILES']}/sample.bin", out="two.bin")
    assert stream.value == {"items": ["aria2.onDownloadStart", "aria2.onDownloadComplete"], "end": "until"}
    assert [text for _, text in stream.progress] == stream.items


async def download_fails(tools: ToolClient) -> None:
    """The stream has two ends."""
    stream = await tools.stream("download", uri=f"{tools.variables['FILES']}/nothing.bin", out="three.bin")
    assert stream.items[-1] == "aria2.onDownloadError"
    assert stream.end == "until"


async def bad_gid(tools: ToolClient) -> None:
    """A JSON-RPC error is an error."""
    assert await tools.error("status", gid="0123456789abcdef") == "GID 0123456789abcdef is not found (1)"


async def wrong_secret(tools: ToolClient) -> None:
    """A wrong secret is refused, after two seconds."""
    async with tools.restarted({"SECRET": "wrong"}) as stranger:
        assert await stranger.error("version") == "Unauthorized (1)"


async def batch(tools: ToolClient) -> None:
    """Two requests in one message are answered in one."""
    result = await tools.json("overview")
    assert len(result) == 2
    assert any("enabledFeatures" in answer["result"] for answer in result)
    assert any("numActive" in answer["result"] for answer in result)
