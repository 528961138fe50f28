"""The download manager aria2."""

from __future__ import annotations

import re

import anyio

from verification.real.tools import ToolClient


async def version(tools: ToolClient) -> None:
    """Send the secret in the parameters."""
    result = await tools.json("version")
    assert re.match(r"1\.\d+", result["version"])
    assert "BitTorrent" in result["enabledFeatures"]


async def add_uri(tools: ToolClient) -> None:
    """Start a download and get its gid."""
    gid = await tools.text("add_uri", uri=f"{tools.variables['FILES']}/sample.bin", out="one.bin")
    assert re.fullmatch("[0-9a-f]{16}", gid)
    tools.remember(gid=gid)


async def status_after(tools: ToolClient) -> None:
    """Use the gid of an earlier call as an argument."""
    gid = tools.recall("gid")
    status: dict[str, str] = {}
    while status.get("status") != "complete":
        await anyio.sleep(0.1)
        status = await tools.json("status", gid=gid)
    assert status == {"gid": gid, "status": "complete", "totalLength": "65536", "completedLength": "65536"}


async def download_and_watch(tools: ToolClient) -> None:
    """Match notifications to the call by the gid in its reply."""
    stream = await tools.stream("download", uri=f"{tools.variables['FILES']}/sample.bin", out="two.bin")
    assert stream.value == {
        "items": ["aria2.onDownloadStart", "aria2.onDownloadComplete"],
        "end": "until",
        "complete": True,
    }
    assert [text for _, text in stream.progress] == stream.items


async def download_fails(tools: ToolClient) -> None:
    """End the stream with either of two notifications."""
    stream = await tools.stream("download", uri=f"{tools.variables['FILES']}/nothing.bin", out="three.bin")
    assert stream.items[-1] == "aria2.onDownloadError"
    assert stream.end == "until"


async def bad_gid(tools: ToolClient) -> None:
    """Return a JSON-RPC error as an error."""
    assert (
        await tools.error("status", gid="0123456789abcdef")
        == "the endpoint said: GID 0123456789abcdef is not found (1) [tool-error]"
    )


async def wrong_secret(tools: ToolClient) -> None:
    """Fail with a wrong secret; aria2 replies after two seconds."""
    async with tools.restarted({"SECRET": "wrong"}) as unauthorized:
        assert await unauthorized.error("version") == "the endpoint said: Unauthorized (1) [tool-error]"


async def batch(tools: ToolClient) -> None:
    """Send two requests in one message and receive one reply for both."""
    result = await tools.json("overview")
    assert len(result) == 2
    assert any("enabledFeatures" in answer["result"] for answer in result)
    assert any("numActive" in answer["result"] for answer in result)
