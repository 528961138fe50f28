"""Players and studios: Mopidy, Snapcast."""

from __future__ import annotations

import json
import math
import struct
import wave
from pathlib import Path
from typing import Any

from ..desk import Desk, check, debian, free_port


def tone(file: Path, seconds: int = 20) -> Path:
    """Write a tone into a file of this length."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        values = (int(9000 * math.sin(2 * math.pi * 440 * number / 8000)) for number in range(8000 * seconds))
        sound.writeframes(b"".join(struct.pack("<h", value) for value in values))
    return file


async def mopidy(desk: Desk) -> str:
    """Play a file of the file backend into a sink that makes no sound."""
    version = debian("mopidy", "gstreamer1.0-plugins-good")
    port = free_port()
    song = tone(desk.folder / "media" / "tone.wav")
    config = desk.write(
        "mopidy.conf",
        f"[core]\ndata_dir = {desk.folder}/data\nconfig_dir = {desk.folder}/config\ncache_dir = {desk.folder}/cache\n"
        f"[audio]\nmixer = software\noutput = fakesink sync=true\n[http]\nhostname = 127.0.0.1\nport = {port}\n"
        f"zeroconf =\n[file]\nmedia_dirs = {song.parent}|media\n[m3u]\nplaylists_dir = {desk.folder}\n",
    )
    await desk.start("mopidy", "--config", config, port=port)
    await desk.serve(MOPIDY_URL=f"ws://127.0.0.1:{port}/mopidy/ws")
    roots = await desk.call("browse")
    check(any(root["name"] == "Files" for root in roots), str(roots))
    await desk.call("search", words=["tone"])
    added = await desk.call("add", uris=[song.as_uri()])
    check(added[0]["track"]["uri"] == song.as_uri(), str(added))
    check(len(await desk.call("tracklist")) == 1, "the track is not in the tracklist")
    await desk.call("play", tlid=added[0]["tlid"])
    check((await desk.call("playback_state"))["state"] == "playing", "it does not play")
    check((await desk.call("current_track"))["tlid"] == added[0]["tlid"], "another track is played")
    await desk.call("time_position")
    await desk.call("control", action="pause")
    check(await desk.call("set_volume", volume=30), "the mixer refused the volume")
    levels = iter(range(1, 100))

    async def change() -> Any:
        return await desk.call("set_volume", volume=next(levels))

    watched = {name.removeprefix("mopidy_") for name in desk.offered}
    if "watch_events" in watched:
        check((await desk.call_while("watch_events", change))["items"], "no event was seen")
    for feed in sorted(name.removesuffix("_events") for name in watched - {"watch_events"} if name.endswith("_events")):
        check(await desk.event(feed, change), "no event of the feed was seen")
    await desk.call("clear")
    return version


async def snapcast(desk: Desk) -> str:
    """Control a client that plays nothing."""
    version = debian("snapserver", "snapclient")
    web, stream, control = free_port(), free_port(), free_port()
    config = desk.write(
        "snapserver.conf",
        f"[server]\ndatadir = {desk.folder}\n[http]\nenabled = true\nbind_to_address = 127.0.0.1\nport = {web}\n"
        f"[tcp]\nenabled = true\nbind_to_address = 127.0.0.1\nport = {control}\n"
        f"[stream]\nbind_to_address = 127.0.0.1\nport = {stream}\nsource = pipe://{desk.folder}/fifo?name=default\n"
        f"source = pipe://{desk.folder}/other?name=other\n",
    )
    await desk.start("snapserver", "--config", config, port=web)
    await desk.start("snapclient", "--host", "127.0.0.1", "--port", str(stream), "--player", "file:filename=null")
    await desk.serve(SNAPCAST_URL=f"ws://127.0.0.1:{web}/jsonrpc")
    groups: list[Any] = []

    async def look() -> None:
        groups[:] = (await desk.call("status"))["groups"]

    for _ in range(50):
        await look()
        if groups and groups[0]["clients"]:
            break
        await desk.wait_until(lambda: True)
    check(groups and groups[0]["clients"], "no client came")
    client, group = groups[0]["clients"][0]["id"], groups[0]["id"]
    check((await desk.call("set_volume", client=client, percent=42))["volume"]["percent"] == 42, "another volume")
    await desk.call("set_latency", client=client, milliseconds=20)
    check((await desk.call("rename_client", client=client, name="kitchen"))["name"] == "kitchen", "another name")
    check((await desk.call("mute_group", group=group, muted=True))["mute"] is True, "it is not muted")
    check((await desk.call("set_group_stream", group=group, stream="other"))["stream_id"] == "other", "another stream")
    await look()
    check(groups[0]["clients"][0]["config"]["name"] == "kitchen", "the name was not kept")
    debian("python3-websockets")

    async def disturb() -> None:
        """Another client changes the volume: the server notifies all others."""
        from websockets.asyncio.client import connect

        async with connect(f"ws://127.0.0.1:{web}/jsonrpc") as other:
            params = {"id": client, "volume": {"percent": 7, "muted": False}}
            await other.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "Client.SetVolume", "params": params}))
            await other.recv()

    check((await desk.event("changes", disturb))["what"] == "Client.OnVolumeChanged", "another change was seen")
    return version
