"""Programs of one machine: aria2, Jupyter, Janus, Cockpit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..desk import Desk, check, debian, free_port, python_package, python_version

COCKPIT_USER = "utcp-catalogue"
"""An account that exists while the case of Cockpit runs."""


async def aria2(desk: Desk) -> str:
    """Download files from a server on this machine."""
    version = debian("aria2")
    port, files = free_port(), free_port()
    (desk.folder / "files").mkdir()
    (desk.folder / "files" / "sample.bin").write_bytes(bytes(range(256)) * 4096)
    serve = ("-m", "http.server", "--bind", "127.0.0.1", "--directory", desk.folder / "files", str(files))
    await desk.start(sys.executable, *serve, port=files)
    options = (
        f"--rpc-listen-port={port}",
        "--rpc-secret=example-secret",
        f"--dir={desk.folder}/down",
        "--no-conf=true",
    )
    await desk.start("aria2c", "--enable-rpc", "--enable-dht=false", "--quiet=true", *options, port=port)
    await desk.serve(ARIA2_URL=f"ws://127.0.0.1:{port}/jsonrpc", ARIA2_SECRET="example-secret")
    uri = f"http://127.0.0.1:{files}/sample.bin"
    check((await desk.call("version"))["version"] == version, "another version")
    check("Complete" in json.dumps(await desk.call("download", uri=uri, out="a.bin")), "it was not downloaded")
    slow = await desk.call("add_uri", uri=uri, out="b.bin", limit="1K", paused=True)
    gid = slow if isinstance(slow, str) else next(iter(slow.values()))
    await desk.call("tell_status", gid=gid)
    check(await desk.call("tell_waiting", offset=0, count=10), "it does not wait")
    await desk.call("unpause", gid=gid)
    await desk.call("tell_active")
    await desk.call("global_stat")
    await desk.call("get_files", gid=gid)
    await desk.call("set_speed_limit", limit="1K")
    await desk.call("pause", gid=gid)
    await desk.call("unpause_all")
    await desk.call("pause_all")
    stopped = await desk.call("tell_stopped", offset=0, count=10)
    await desk.call("forget", gid=stopped[0]["gid"])

    async def download() -> Any:
        return await desk.call("add_uri", uri=uri)

    offered = {name.removeprefix("aria2_") for name in desk.offered}
    for name in sorted(each.removesuffix("_events") for each in offered if each.endswith("_events")):
        await desk.event(name, download)
        if f"{name}_latest" in offered:
            await desk.call(f"{name}_latest")
    await desk.call("remove", gid=gid)
    return version


async def jupyter_kernel(desk: Desk) -> str:
    """Run code in a kernel."""
    programs = python_package("jupyter", "jupyter_server", "ipykernel")
    port = free_port()
    options = (
        "--allow-root",
        "--no-browser",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--IdentityProvider.token=example-token",
    )
    path = f"{programs}:/usr/bin:/bin"
    await desk.start(programs / "python", "-m", "jupyter_server", *options, port=port, PATH=path)
    await desk.serve(JUPYTER_ADDRESS=f"127.0.0.1:{port}", JUPYTER_TOKEN="example-token")
    check("42" in json.dumps(await desk.call("run", code="x = 42\nprint(x)")), "another output")
    asked = await desk.call("run_with_input", code="print('got ' + input('name? '))", answer="Ada")
    check("got Ada" in json.dumps(asked), str(asked))
    check("python" in json.dumps(await desk.call("kernel_info")), "another kernel")
    check("import" in json.dumps(await desk.call("complete", code="imp", cursor_pos=3)), "nothing was completed")
    await desk.call("inspect", code="len", cursor_pos=3)
    await desk.call("interrupt")

    async def run() -> Any:
        return await desk.call("run", code="print('hello')")

    offered = {name.removeprefix("jupyter_") for name in desk.offered}
    for name in sorted(each.removesuffix("_events") for each in offered if each.endswith("_events")):
        await desk.event(name, run)
        if f"{name}_latest" in offered:
            await desk.call(f"{name}_latest")
    return python_version(programs, "jupyter_server")


async def janus(desk: Desk) -> str:
    """Make a video room, watch it, and destroy it."""
    version = debian("janus")
    port = free_port()
    config = desk.folder / "janus"
    shutil.copytree("/etc/janus", config)
    (config / "janus.transport.websockets.jcfg").write_text(
        f'general: {{ ws = true\n ws_port = {port}\n ws_ip = "127.0.0.1" }}\nadmin: {{ admin_ws = false }}\n'
    )
    general = f'general: {{ api_secret = "example-secret"\n configs_folder = "{config}" }}\n'
    others = (
        "libjanus_http.so",
        "libjanus_mqtt.so",
        "libjanus_rabbitmq.so",
        "libjanus_pfunix.so",
        "libjanus_nanomsg.so",
    )
    (config / "janus.jcfg").write_text(f'{general}transports: {{ disable = "{",".join(others)}" }}\n')
    await desk.start("janus", "--config", config / "janus.jcfg", "--configs-folder", config, port=port)
    await desk.serve(JANUS_URL=f"ws://127.0.0.1:{port}/", JANUS_APISECRET="example-secret")
    check("Janus" in json.dumps(await desk.call("server_info")), "another server")
    await desk.call("create", room=77, description="Test")
    check("77" in json.dumps(await desk.call("list")), "the room is not listed")
    check("true" in json.dumps(await desk.call("exists", room=77)), "the room does not exist")
    await desk.call("listparticipants", room=77)
    await desk.refused("kick", "", room=77, id=1)

    async def enter() -> Any:
        return await desk.call("listparticipants", room=77)

    offered = {name.removeprefix("janus_") for name in desk.offered}
    if "watch_room" in offered:
        await desk.call("watch_room", room=77, display="watcher")
    for name in sorted(each.removesuffix("_events") for each in offered if each.endswith("_events")):
        await desk.call(f"{name}_events", room=77)
        if f"{name}_latest" in offered:
            await desk.call(f"{name}_latest", room=77)
    await enter()
    await desk.call("destroy", room=77)
    return version


async def cockpit(desk: Desk) -> str:
    """Log in with an account of this machine; run a command, and work with files."""
    version = debian("cockpit-ws", "cockpit-bridge")
    port = free_port()
    subprocess.run(["useradd", "--no-create-home", "--home-dir", "/tmp", COCKPIT_USER], check=True)
    desk.stack.callback(subprocess.run, ["userdel", "--force", COCKPIT_USER], capture_output=True)
    subprocess.run(["chpasswd"], input=f"{COCKPIT_USER}:example-password", text=True, check=True)
    listen = ("--no-tls", "--address", "127.0.0.1", "--port", str(port))
    await desk.start("/usr/lib/cockpit/cockpit-ws", *listen, port=port)
    login = {"COCKPIT_USER": COCKPIT_USER, "COCKPIT_PASSWORD": "example-password"}
    await desk.serve(COCKPIT_ADDRESS=f"127.0.0.1:{port}", **login)
    check(COCKPIT_USER in str(await desk.call("run", argv=["id", "-un"])), "it runs as another account")
    check("exit status 3" in str(await desk.call("run", argv=["sh", "-c", "exit 3"])), "another exit status")
    place = Path((await desk.call("run", argv=["mktemp", "-d"]))["text"].split("\n")[0])
    note = str(place / "note.txt")
    await desk.call("write_file", path=note, text="Hello Ada\nÄ")
    check((await desk.call("read_file", path=note))["text"] == "Hello Ada\nÄ", "another content")
    check("note.txt" in json.dumps(await desk.call("list_directory", path=str(place))), "the file is not listed")
    await desk.refused("read_file", "no such file", path=str(place / "missing"))
    numbers = iter(range(100))

    async def write() -> Any:
        return await desk.call("write_file", path=str(place / f"{next(numbers)}.txt"), text="x")

    seen = await desk.call_while("watch_path", write, path=str(place), count=1)
    check(str(place) in json.dumps(seen), str(seen))
    await desk.call("run", argv=["rm", "-r", str(place)])
    return version
