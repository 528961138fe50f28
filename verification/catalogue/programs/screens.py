"""Programs with a window, on a screen in memory: OBS Studio and Kodi."""

from __future__ import annotations

import json
from typing import Any

from ..desk import Desk, check, debian, free_port, npm_package
from .media import tone

SCREEN = ("xvfb-run", "-a", "-s", "-screen 0 640x480x24")


def _scenes(desk: Desk) -> str:
    """Return a collection of two scenes: a title and a sound in the first, nothing in the second."""
    sound = {"local_file": str(tone(desk.folder / "tone.wav")), "looping": True}
    items = [{"name": name, "id": number, "visible": True} for number, name in enumerate(("Title", "Tone"), 1)]
    sources = [
        {"id": "text_ft2_source_v2", "name": "Title", "settings": {"text": "Hello", "from_file": False}},
        {"id": "ffmpeg_source", "name": "Tone", "settings": sound},
        {"id": "scene", "name": "Main", "settings": {"id_counter": 2, "items": items}},
        {"id": "scene", "name": "Break", "settings": {"items": []}},
    ]
    order = [{"name": "Main"}, {"name": "Break"}]
    scenes = {"name": "Test", "current_scene": "Main", "current_program_scene": "Main", "scene_order": order}
    return json.dumps({**scenes, "sources": sources})


def _configure_obs(desk: Desk, port: int, rtmp: int) -> None:
    """Write the settings of OBS: the login of obs-websocket, small pictures, files and streams of this machine."""
    desk.write(
        ".config/obs-studio/global.ini",
        "[General]\nFirstRun=true\nLastVersion=486539266\n"
        "[Basic]\nProfile=Test\nProfileDir=Test\nSceneCollection=Test\nSceneCollectionFile=Test\n"
        "[OBSWebSocket]\nFirstLoad=false\nServerEnabled=true\nAlertsEnabled=false\n"
        f"AuthRequired=true\nServerPassword=example-password\nServerPort={port}\n",
    )
    basic = ".config/obs-studio/basic"
    desk.write(
        f"{basic}/profiles/Test/basic.ini",
        "[General]\nName=Test\n[Video]\nBaseCX=320\nBaseCY=240\nOutputCX=320\nOutputCY=240\nFPSCommon=10\n"
        f"[Output]\nMode=Simple\n[SimpleOutput]\nFilePath={desk.folder}\nRecFormat=mkv\nVBitrate=300\n",
    )
    service = {"server": f"rtmp://127.0.0.1:{rtmp}/live", "key": "test", "use_auth": False}
    desk.write(f"{basic}/profiles/Test/service.json", json.dumps({"type": "rtmp_custom", "settings": service}))
    desk.write(f"{basic}/scenes/Test.json", _scenes(desk))


async def obs(desk: Desk) -> str:
    """Switch scenes, change sources, record into a file and stream to a server of this machine."""
    version = debian("obs-studio", "xvfb", "xauth")
    folder, _ = npm_package("node-media-server", "node-media-server")
    port, rtmp = free_port(), free_port()
    media = desk.write("rtmp.json", json.dumps({"bind": "127.0.0.1", "rtmp": {"port": rtmp}, "auth": {}}))
    program = folder / "node_modules" / "node-media-server" / "bin" / "app.js"
    await desk.start("node", program, "-c", media, "--data-path", desk.folder / "rtmp", port=rtmp)
    _configure_obs(desk, port, rtmp)
    place = {"XDG_CONFIG_HOME": str(desk.folder / ".config"), "LIBGL_ALWAYS_SOFTWARE": "1"}
    await desk.start(*SCREEN, "obs", "--multi", port=port, **place)
    await desk.serve(OBS_URL=f"ws://127.0.0.1:{port}/", OBS_PASSWORD="example-password")
    listed = await desk.call_until(lambda result: result.get("scenes"), "list_scenes")
    check({scene["sceneName"] for scene in listed["scenes"]} == {"Main", "Break"}, str(listed))
    await desk.call("switch_scene", scene="Break")
    check((await desk.call("list_scenes"))["currentProgramSceneName"] == "Break", "another scene is on air")
    await desk.call("switch_scene", scene="Main")
    await _obs_sources(desk)
    await _obs_outputs(desk)
    mutes = iter([True, False] * 50)

    async def change() -> Any:
        return await desk.call("set_mute", input="Tone", muted=next(mutes))

    check((await desk.event("studio", change))["event"] == "InputMuteStateChanged", "another event")
    seen = await desk.call_while("watch_events", change, event="InputMuteStateChanged")
    check(seen["items"], "no event was seen")
    return version


async def _obs_sources(desk: Desk) -> None:
    items = (await desk.call("list_scene_items", scene="Main"))["sceneItems"]
    title = next(item for item in items if item["sourceName"] == "Title")["sceneItemId"]
    await desk.call("show_scene_item", scene="Main", item_id=title, shown=False)
    items = (await desk.call("list_scene_items", scene="Main"))["sceneItems"]
    check({item["sceneItemEnabled"] for item in items} == {True, False}, str(items))
    check("Tone" in json.dumps(await desk.call("list_inputs")), "the input is not listed")
    await desk.call("set_mute", input="Tone", muted=True)
    check((await desk.call("get_mute", input="Tone"))["inputMuted"] is True, "it is not muted")
    await desk.call("set_mute", input="Tone", muted=False)
    await desk.call("set_volume", input="Tone", decibels=-20)
    await desk.call("set_text", input="Title", text="Hello Ada")
    await desk.refused("set_text", "No source was found", input="Missing", text="x")
    picture = await desk.call("screenshot", source="Main", width=64)
    check(picture[0]["mimeType" if "mimeType" in picture[0] else "mime_type"] == "image/png", str(picture)[:200])
    check("Tone" in json.dumps(await desk.call("watch_levels")), "no level of the input")
    check((await desk.call("stats"))["activeFps"] > 0, "no frames")


async def _obs_outputs(desk: Desk) -> None:
    for start, status, stop in (
        ("start_recording", "record_status", "stop_recording"),
        ("start_streaming", "stream_status", "stop_streaming"),
    ):
        await desk.call(start)
        await desk.call_until(lambda state: state["outputActive"] and state["outputBytes"] > 0, status)
        await desk.call(stop)
        await desk.call_until(lambda state: not state["outputActive"], status)
    check(list(desk.folder.glob("*.mkv")), "no file was recorded")


async def kodi(desk: Desk) -> str:
    """Play a sound, seek and stop; read the empty library."""
    version = debian("kodi", "xvfb", "xauth", "pulseaudio")
    port = free_port()
    song = tone(desk.folder / "music" / "tone.wav", seconds=60)
    ports = f"<jsonrpc><tcpport>{port}</tcpport></jsonrpc>"
    desk.write("kodi/userdata/advancedsettings.xml", f"<advancedsettings>{ports}</advancedsettings>")
    shown = f"<source><name>Test</name><path>{song.parent}/</path></source>"
    desk.write("kodi/userdata/sources.xml", f"<sources><music>{shown}</music></sources>")
    speaker = desk.folder / "speaker"
    modules = ("-L", "module-null-sink", "-L", f"module-native-protocol-unix socket={speaker} auth-anonymous=1")
    await desk.start("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", *modules)
    await desk.wait_until(speaker.exists)
    place = {"KODI_DATA": str(desk.folder / "kodi"), "LIBGL_ALWAYS_SOFTWARE": "1", "PULSE_SERVER": f"unix:{speaker}"}
    await desk.start(*SCREEN, "kodi", "--standalone", port=port, **place)
    await desk.serve(KODI_URL=f"ws://127.0.0.1:{port}/jsonrpc")
    for kind in ("movies", "tvshows", "albums", "artists", "songs"):
        check("limits" in await desk.call("library", kind=kind), f"no {kind}")
    listed = await desk.call("list_folder", folder=f"{song.parent}/", media="music")
    check("tone.wav" in json.dumps(listed), str(listed))
    check(await desk.call("set_volume", percent=30) == 30, "another volume")
    check(await desk.call("notify", title="Test", text="Hello Ada") == "OK", "no message")
    await desk.call("open", file=str(song))
    player = (await desk.call_until(bool, "now_playing"))[0]["playerid"]
    await desk.call_until(lambda state: state["totaltime"]["minutes"] == 1, "player_state", player=player)
    check((await desk.call("play_pause", player=player))["speed"] == 0, "it does not pause")
    await desk.call("seek", player=player, percent=50)
    await desk.call("play_pause", player=player)
    await desk.call_until(lambda state: state["percentage"] > 45, "player_state", player=player)
    check((await desk.call("playing_item", player=player))["label"] == "tone.wav", "another item")
    levels = iter(range(1, 100))

    async def change() -> Any:
        return await desk.call("set_volume", percent=next(levels))

    check((await desk.event("events", change))["what"] == "Application.OnVolumeChanged", "another event")
    check(await desk.call("stop", player=player) == "OK", "it does not stop")
    await desk.call_until(lambda players: not players, "now_playing")
    return version
