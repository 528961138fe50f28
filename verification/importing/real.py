"""Call real programs: Chromium, Kodi, OBS and Mopidy of Debian. One that is not installed is said, and misses."""

from __future__ import annotations

from collections.abc import Sequence

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .documents import SPECS
from .running import NotStarted, call_each, call_safe, folder, free_port, run_import, started

MIN_ANSWERS = 10
"""Tools that must have given a result, so that a figure says something."""


async def chromium() -> Figure:
    """Import the protocol of a running browser; evaluate a script, and open a feed."""
    port = free_port()
    with folder() as place:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--remote-debugging-port={port}"]
        async with started(port, "chromium", *options, f"--user-data-dir={place}/profile", "about:blank"):
            source = f"http://127.0.0.1:{port}/json/protocol"
            manifest = await run_import(source, place / "manifest.json", "--all")
            name = manifest["name"]
            wrong = await call_each(
                place / "manifest.json",
                [
                    (f"{name}.Browser.getVersion", {}, lambda result: result["protocolVersion"] == "1.3"),
                    (
                        f"{name}.Runtime.evaluate",
                        {"expression": "6 * 7", "returnByValue": True},
                        lambda result: result["result"]["value"] == 42,
                    ),
                    (f"{name}.Page.navigate", {"url": "about:blank"}, lambda result: "frameId" in result),
                    (f"{name}.Network_events", {}, lambda result: result["state"] == "open"),
                ],
            )
    shown = f"{len(manifest['tools'])} tools, {4 - len(wrong)} of 4 calls right {'; '.join(wrong)}".strip()
    return Figure("I8", "Chromium: the protocol of the running browser", shown, "all right", met=not wrong)


async def kodi() -> Figure:
    """Import what Kodi says of itself."""
    port = free_port()
    with folder() as place:
        data = place / "kodi"
        (data / "userdata").mkdir(parents=True)
        (data / "userdata" / "advancedsettings.xml").write_text(
            f"<advancedsettings><jsonrpc><tcpport>{port}</tcpport></jsonrpc></advancedsettings>"
        )
        environ = {"KODI_DATA": str(data), "HOME": str(place)}
        async with started(port, "xvfb-run", "-a", "kodi", "--standalone", environ=environ):
            manifest = await run_import(f"ws://127.0.0.1:{port}/jsonrpc", place / "manifest.json")
            answered, refused, wrong = await call_safe(place / "manifest.json", manifest)
    return _figure("I9", "Kodi: JSONRPC.Introspect", len(manifest["tools"]), answered, refused, wrong)


async def obs() -> Figure:
    """Import protocol.json, and call OBS."""
    port = free_port()
    with folder() as place:
        config = place / ".config" / "obs-studio"
        config.mkdir(parents=True)
        (config / "global.ini").write_text(
            "[General]\nFirstRun=true\n[OBSWebSocket]\nFirstLoad=false\nServerEnabled=true\nAlertsEnabled=false\n"
            f"AuthRequired=false\nServerPort={port}\n"
        )
        environ = {"HOME": str(place), "XDG_CONFIG_HOME": str(place / ".config"), "LIBGL_ALWAYS_SOFTWARE": "1"}
        async with started(port, "xvfb-run", "-a", "obs", "--multi", environ=environ):
            source, url = SPECS / "obs" / "protocol.json", f"ws://127.0.0.1:{port}"
            manifest = await run_import(source, place / "manifest.json", "--url", url)
            answered, refused, wrong = await call_safe(place / "manifest.json", manifest)
    return _figure("I10", "OBS: protocol.json", len(manifest["tools"]), answered, refused, wrong)


async def mopidy() -> Figure:
    """Import what Mopidy says of itself."""
    port = free_port()
    with folder() as place:
        config = place / "mopidy.conf"
        folders = "\n".join(f"{name}_dir = {place}/{name}" for name in ("data", "config", "cache"))
        config.write_text(
            f"[core]\n{folders}\n[audio]\noutput = fakesink sync=true\n"
            f"[http]\nenabled = true\nhostname = 127.0.0.1\nport = {port}\nzeroconf =\n"
        )
        async with started(port, "mopidy", "--config", config):
            manifest = await run_import(f"ws://127.0.0.1:{port}/mopidy/ws", place / "manifest.json")
            answered, refused, wrong = await call_safe(place / "manifest.json", manifest)
    return _figure("I11", "Mopidy: core.describe", len(manifest["tools"]), answered, refused, wrong)


def _figure(number: str, what: str, tools: int, answered: int, refused: int, wrong: Sequence[str]) -> Figure:
    shown = f"{tools} tools; called without arguments: {answered} answered, {refused} refused by it, {len(wrong)} wrong"
    shown += f" ({'; '.join(wrong[:3])})" if wrong else ""
    return Figure(number, what, shown, "none wrong", met=not wrong and answered >= MIN_ANSWERS)


async def measure(size: Size) -> Sequence[Figure]:
    """Return the figures of the programs."""
    del size
    figures = []
    for number, measured in (("I8", chromium), ("I9", kodi), ("I10", obs), ("I11", mopidy)):
        try:
            figures.append(await measured())
        except NotStarted as missing:
            figures.append(Figure(number, measured.__name__, str(missing), "runs", met=False))
    return figures


if __name__ == "__main__":
    run(measure)
