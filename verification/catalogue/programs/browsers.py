"""Debuggers: Chromium and Node.js."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from typing import Any

import anyio

from ..desk import Desk, check, debian, free_port


async def chrome_devtools(desk: Desk) -> str:
    """Drive a page of a headless browser."""
    version = debian("chromium")
    port = free_port()
    profile = f"--user-data-dir={desk.folder}/profile"
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", f"--remote-debugging-port={port}", profile)
    await desk.start("chromium", *options, "about:blank", port=port)
    await desk.serve(CHROME_ADDRESS=f"127.0.0.1:{port}")
    page = desk.write(
        "page.html",
        "<title>Test</title><input id=name><button id=go onclick=\"console.log('clicked')\">Go</button><p>Hello Ada",
    )
    await desk.call("navigate", url=page.as_uri())
    check("Hello Ada" in json.dumps(await desk.call("read_page")), "another page")
    await desk.call("screenshot")
    await desk.call("print_to_pdf")
    await desk.call("fill", selector="#name", value="Ada")
    check("Ada" in json.dumps(await desk.call("evaluate", expression="document.querySelector('#name').value")), "empty")
    await desk.call("set_viewport", width=800, height=600)
    check(await desk.call("list_pages"), "no page is listed")
    await desk.call("click", selector="#go")

    async def log() -> Any:
        return await desk.call("evaluate", expression="console.log('logged'); fetch('data:,x').catch(() => 0); 1")

    offered = {name.removeprefix("chrome_") for name in desk.offered}
    for stream in sorted({"console", "watch_requests"} & offered):
        await desk.call_while(stream, log)
    for name in sorted(each.removesuffix("_events") for each in offered if each.endswith("_events")):
        await desk.event(name, log)
        if f"{name}_latest" in offered:
            await desk.call(f"{name}_latest")
    return version


def _targets(port: int) -> Any:
    return json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5))


async def node_inspector(desk: Desk) -> str:
    """Look into a program that runs."""
    port = free_port()
    script = desk.write("app.js", "globalThis.total = 3; setInterval(() => {}, 1000);")
    await desk.start("node", f"--inspect=127.0.0.1:{port}", script, port=port)
    listed = await anyio.to_thread.run_sync(_targets, port)
    await desk.serve(NODE_INSPECTOR_ADDRESS=f"127.0.0.1:{port}", NODE_INSPECTOR_ID=listed[0]["id"])
    check("3" in json.dumps(await desk.call("evaluate", expression="total")), "another value")
    held = await desk.call("evaluate", expression="({a: 1})", return_by_value=False)
    identity = next(part for part in json.dumps(held).split('"') if part.count(".") == 2)
    check("a" in json.dumps(await desk.call("get_properties", object_id=identity)), "no property")
    for tool in ("release_objects", "list_global_names", "heap_usage", "collect_garbage", "list_domains"):
        await desk.call(tool)

    async def log() -> Any:
        return await desk.call("evaluate", expression="console.log('hello')")

    offered = {name.removeprefix("node_") for name in desk.offered}
    for name in sorted(each.removesuffix("_events") for each in offered if each.endswith("_events")):
        await desk.event(name, log)
        if f"{name}_latest" in offered:
            await desk.call(f"{name}_latest")
    return subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout.strip("v\n")
