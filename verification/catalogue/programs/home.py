"""Homes and boats: Z-Wave JS, ESPHome, Signal K."""

from __future__ import annotations

import json
from typing import Any

from ..desk import Desk, check, free_port, npm_package, python_package, python_version


async def zwave_js(desk: Desk) -> str:
    """Ask a server whose driver is a mock; it has a controller, and no node."""
    folder, version = npm_package("zwave-jsserver", "@zwave-js/server")
    port = free_port()
    program = folder / "node_modules" / "@zwave-js" / "server" / "dist-esm" / "bin" / "server.js"
    await desk.start("node", program, "--mock-driver", "--port", str(port), "--host", "127.0.0.1", port=port)
    await desk.serve(ZWAVE_JS_URL=f"ws://127.0.0.1:{port}/")
    network = await desk.call("network")
    check("controller" in network, str(network)[:300])
    await desk.call("driver_config")
    for tool in ("node_values", "ping_node", "refresh_node"):
        await desk.refused(tool, "node", node=2)
    await desk.refused("set_value", "node", node=2, command_class=37, property="targetValue", value=True)
    read = await desk.call("events_events")
    check(read["state"] == "open", str(read))
    return version


async def esphome(desk: Desk) -> str:
    """Check a configuration, and list it."""
    programs = python_package("esphome", "esphome")
    port = free_port()
    desk.write("config/lamp.yaml", "esphome:\n  name: lamp\nesp8266:\n  board: d1_mini\nlogger:\n")
    listen = ("--address", "127.0.0.1", "--port", str(port))
    await desk.start(programs / "esphome", "dashboard", *listen, desk.folder / "config", port=port)
    await desk.serve(ESPHOME_ADDRESS=f"127.0.0.1:{port}")
    devices = await desk.call("devices")
    check(devices["devices"][0]["name"] == "lamp", str(devices))
    check("Configuration is valid" in json.dumps(await desk.call("validate", configuration="lamp.yaml")), "not valid")
    built = await desk.call("compile", configuration="lamp.yaml", only_generate=True)
    check("exit code" in json.dumps(built), str(built)[:300])
    check("exit code" in json.dumps(await desk.call("install", configuration="no.yaml")), "it was installed")
    check("text" in await desk.call("logs", configuration="no.yaml"), "no log")
    number = iter(range(100))

    async def add() -> None:
        desk.write(f"config/lamp{next(number)}.yaml", "esphome:\n  name: other\nesp8266:\n  board: d1_mini\n")
        await desk.call("devices")

    check((await desk.event("changes", add))["what"].startswith("entry_"), "another change")
    return python_version(programs, "esphome")


async def signalk(desk: Desk) -> str:
    """Read the sample data of a server."""
    folder, version = npm_package("signalk-server", "signalk-server")
    port = free_port()
    program = folder / "node_modules" / "signalk-server" / "bin" / "signalk-server"
    desk.write("config/settings.json", json.dumps({"interfaces": {}, "mdns": False, "pipedProviders": []}))
    desk.write("config/package.json", '{"name": "test"}')
    environ = {"PORT": str(port), "TCPSTREAMPORT": str(free_port()), "NMEA0183PORT": str(free_port())}
    options = ("--sample-nmea0183-data", "-c", desk.folder / "config")
    await desk.start("node", program, *options, port=port, **environ)
    await desk.serve(SIGNALK_URL=f"ws://127.0.0.1:{port}/signalk/v1/stream?subscribe=none&sendMeta=none")
    value: Any = None
    for _ in range(5):
        value = await desk.call("read", path="navigation.speedOverGround")
        if "item" in value:
            break
    check(value["item"]["path"] == "navigation.speedOverGround", str(value))

    async def nothing() -> None:
        return None

    seen = await desk.event("values", nothing, path="navigation.speedOverGround")
    check(isinstance(seen["value"], float), str(seen))
    check((await desk.call("values_latest", path="navigation.speedOverGround"))["values"], "no newest value")
    await desk.refused("put", "405", path="electrical.switches.lamp.state", value=1)
    return version
