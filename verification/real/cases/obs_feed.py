"""OBS Studio: errors with their meaning, batches, events as feeds, and a program that is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import anyio

from verification.real.feed_reading import Reader
from verification.real.tools import ToolClient


async def _loaded(tools: ToolClient) -> Any:
    """Wait until OBS has read its scenes; return what it says of them."""
    return await tools.json_until(lambda listed: listed["scenes"], "GetSceneList")


async def scenes(tools: ToolClient) -> None:
    """List the scenes, and put one on air."""
    assert {scene["sceneName"] for scene in (await _loaded(tools))["scenes"]} == {"Main", "Break"}
    assert await tools.json("SetCurrentProgramScene", sceneName="Break") == {}
    assert (await tools.json("GetSceneList"))["currentProgramSceneName"] == "Break"


async def refused(tools: ToolClient) -> None:
    """Show the comment of OBS, and the meaning of the code where it gives none."""
    missing = await tools.error("SetCurrentProgramScene", sceneName="Nowhere")
    assert "No source was found by the name of `Nowhere`. (600)" in missing
    assert "Your request type is not valid. (204)" in await tools.error("NoSuchRequest")
    assert "the output is not running (501)" in await tools.error("StopRecord")
    assert "studio mode is off (506)" in await tools.error("GetCurrentPreviewScene")
    assert "(601)" in await tools.error("CreateScene", sceneName="Main")


async def batch(tools: ToolClient) -> None:
    """Return the results of a batch, each with its own status."""
    scene = {"requestType": "SetCurrentProgramScene", "requestData": {"sceneName": "Nowhere"}}
    results = await tools.json("batch", requests=[{"requestType": "GetVersion"}, scene, {"requestType": "GetStats"}])
    assert [each["requestStatus"]["code"] for each in results] == [100, 600]


async def several_at_once(tools: ToolClient) -> None:
    """Answer 40 requests on one connection."""
    versions: list[Any] = []

    async def ask() -> None:
        versions.append((await tools.json("GetVersion"))["rpcVersion"])

    async with anyio.create_task_group() as calls:
        for _ in range(40):
            calls.start_soon(ask)
    assert versions == [1] * 40


async def every_change(tools: ToolClient) -> None:
    """Keep each of 100 changes."""
    reader = await Reader.begin(tools, "InputMuteStateChanged")
    for number in range(100):
        await tools.json("SetInputMute", inputName="Tone", inputMuted=number % 2 == 0)
    assert sorted(await reader.read(100)) == [False] * 50 + [True] * 50
    assert (reader.missed, reader.gaps) == (0, [])


async def fast_scenes(tools: ToolClient) -> None:
    """Keep the newest scene while scenes change fast; OBS reports not each of them."""
    reader = await Reader.begin(tools, "newest")
    for number in range(30):
        await tools.json("SetCurrentProgramScene", sceneName=("Main", "Break")[number % 2])
    await tools.json("SetCurrentProgramScene", sceneName="Main")
    main = [{"sceneName": "Main"}]
    await tools.json_until(
        lambda latest: [value["data"] for value in latest["values"]] == main,
        "newest_latest",
        keys=["CurrentProgramSceneChanged"],
    )
    assert reader.gaps == []


async def killed(tools: ToolClient) -> None:
    """Log in again, and open the feed again with a named gap, when OBS was killed and runs again."""
    reader = await Reader.begin(tools, "InputMuteStateChanged")
    os.kill(int(Path(tools.variables["PID_FILE"]).read_text()), signal.SIGKILL)
    await reader.wait_for_gap()
    assert "not connected from" in reader.gaps[0]
    await _loaded(tools)
    await tools.json("SetInputMute", inputName="Tone", inputMuted=True)
    await tools.json("SetInputMute", inputName="Tone", inputMuted=False)
    assert await reader.read_until(lambda muted: muted is False)


async def wrong_password(tools: ToolClient) -> None:
    """Name the close code of a wrong password, and wait before the next attempt of a feed."""
    async with tools.restarted({"OBS_PASSWORD": "wrong"}) as stranger:
        message = await stranger.error("GetVersion")
        assert "closed by the server with code 4009; the endpoint said: “Authentication failed.”" in message
        assert (await stranger.json("newest_events"))["state"].startswith("waiting: 30.0 s after:")
