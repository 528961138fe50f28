"""Homes and boats: Home Assistant, Zigbee2MQTT, Z-Wave JS, ESPHome, Signal K."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ..desk import ROOT, Desk, check, debian, free_port, npm_package, own_server, python_package, python_version

HOME_ASSISTANT: Final = (ROOT / "verification" / "real" / "launchers" / "homeassistant.txt").read_text().split()
"""The last version for Python 3.11, and what it would install at its first start."""


async def home_assistant(desk: Desk) -> str:
    """Read and switch helpers of a new home, and watch them."""
    programs = python_package("home-assistant", *HOME_ASSISTANT)
    port = free_port()
    desk.write(
        "config/configuration.yaml",
        f"http:\n  server_host: 127.0.0.1\n  server_port: {port}\nonboarding:\nconfig:\nhistory:\n"
        "input_boolean:\n  lamp:\n    name: Lamp\ncounter:\n  visits:\n",
    )
    await desk.start(programs / "hass", "--config", desk.folder / "config", "--skip-pip", port=port)
    token = _home_assistant_token(f"http://127.0.0.1:{port}")
    await desk.serve(HOMEASSISTANT_URL=f"ws://127.0.0.1:{port}/api/websocket", HOMEASSISTANT_TOKEN=token)
    began = datetime.now(UTC)
    lamp = {"entity_id": "input_boolean.lamp"}
    listed = await desk.call("list_entities", domain="input_boolean")
    check([entity["entity_id"] for entity in listed] == ["input_boolean.lamp"], str(listed))
    await desk.call("turn_on", **lamp)
    check((await desk.call("get_state", **lamp))["state"] == "on", "it is not on")
    await desk.call("turn_off", **lamp)
    check((await desk.call("get_state", **lamp))["state"] == "off", "it is not off")
    await desk.refused("get_state", "there is no entity", entity_id="light.missing")
    check("increment" in await desk.call("list_actions", domain="counter"), "the action is not listed")
    await desk.call("call_action", domain="counter", action="increment", target={"entity_id": "counter.visits"})
    template = "{{ states('counter.visits') }} visits"
    check("1 visits" in str(await desk.call("render_template", template=template)), "another text")
    await desk.refused("render_template", "", template="{{ 1 / 0 }}")
    check(await desk.call("list_areas") is not None, "no areas")
    check("input_boolean.lamp" in json.dumps(await desk.call("list_registered_entities")), "it is not registered")
    check("counter" in (await desk.call("get_config"))["components"], "another configuration")

    async def toggle() -> Any:
        return await desk.call("call_action", domain="input_boolean", action="toggle", target=lamp)

    check((await desk.event("state_changed", toggle))["entity_id"] == lamp["entity_id"], "another entity")
    await desk.call("state_changed_latest")
    seen = await desk.call_while("watch_entity", toggle, **lamp)
    check({item["to"] for item in seen["items"]} == {"on", "off"}, str(seen))
    start = (began - timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    lamp_ids = [lamp["entity_id"]]
    # The recorder writes once in five seconds.
    await desk.call_until(lambda history: history.get(lamp_ids[0]), "history", entity_ids=lamp_ids, start=start)
    return python_version(programs, "homeassistant")


def _home_assistant_token(address: str) -> str:
    """Make the first user of a home, as its first page does, and return an access token."""
    client = f"{address}/"
    user = {"client_id": client, "name": "Ada", "username": "ada", "password": "example-password", "language": "en"}
    made = json.load(_post(f"{address}/api/onboarding/users", json.dumps(user), "application/json"))
    grant = {"client_id": client, "grant_type": "authorization_code", "code": made["auth_code"]}
    kind = "application/x-www-form-urlencoded"
    return str(json.load(_post(f"{address}/auth/token", urllib.parse.urlencode(grant), kind))["access_token"])


def _post(url: str, content: str, kind: str) -> Any:
    request = urllib.request.Request(url, content.encode(), {"Content-Type": kind}, method="POST")
    return urllib.request.urlopen(request, timeout=20)


LAMP = {
    "id": 2,
    "type": "Router",
    "ieeeAddr": "0x000b57fffe000001",
    "nwkAddr": 4660,
    "manufId": 4476,
    "manufName": "IKEA of Sweden",
    "powerSource": "Mains (single phase)",
    "modelId": "TRADFRI bulb E27 WW 806lm",
    "epList": [1],
    "endpoints": {
        "1": {
            "profId": 260,
            "epId": 1,
            "devId": 257,
            "inClusterList": [0, 3, 4, 5, 6, 8],
            "outClusterList": [],
            "clusters": {},
            "binds": [],
            "configuredReportings": [],
            "meta": {},
        }
    },
    "interviewCompleted": True,
    "interviewState": "SUCCESSFUL",
}
"""A device in the database of Zigbee2MQTT."""


async def zigbee2mqtt(desk: Desk) -> str:
    """Switch a lamp whose radio is in memory, read it, rename it, and watch."""
    debian("mosquitto")
    folder, version = npm_package("zigbee2mqtt", "zigbee2mqtt", "node@22")
    port, broker = free_port(), free_port()
    await desk.start("mosquitto", "-p", str(broker), port=broker)
    settings = {
        "version": 4,
        "mqtt": {"server": f"mqtt://127.0.0.1:{broker}", "base_topic": "zigbee2mqtt"},
        "serial": {"port": "/dev/null", "adapter": "ember"},
        "frontend": {"enabled": True, "host": "127.0.0.1", "port": port, "disable_ui_serving": True},
        "advanced": {"network_key": list(range(16)), "pan_id": 6754, "channel": 11, "log_output": ["console"]},
        "devices": {LAMP["ieeeAddr"]: {"friendly_name": "lamp"}},
    }
    desk.write("data/configuration.yaml", json.dumps(settings))  # JSON is YAML
    desk.write("data/database.db", json.dumps(LAMP) + "\n")
    node = folder / "node_modules" / "node" / "bin" / "node"
    program = own_server(folder, "zigbee2mqtt.cjs")
    await desk.start(node, program, port=port, ZIGBEE2MQTT_DATA=str(desk.folder / "data"))
    await desk.serve(ZIGBEE2MQTT_URL=f"ws://127.0.0.1:{port}/api")
    devices = await desk.call("devices")
    check({device["friendly_name"] for device in devices} == {"Coordinator", "lamp"}, str(devices)[:500])
    states = iter(["ON", "OFF"] * 50)

    async def switch() -> Any:
        return await desk.call("set", device="lamp", values={"state": next(states)})

    check((await desk.event("states", switch))["state"] in ("ON", "OFF"), "another state")
    check((await desk.call("states_latest"))["values"], "no newest state")
    await desk.call("set", device="lamp", values={"state": "ON", "brightness": 120})
    await desk.call_until(lambda state: state["state"] == "ON", "get", device="lamp", property="state")
    check((await desk.call("get", device="lamp", property="brightness"))["brightness"] == 120, "another brightness")
    check((await desk.call("permit_join", seconds=10))["time"] == 10, "pairing is not allowed")
    await desk.call("permit_join", seconds=0)
    check((await desk.call("rename", device="lamp", name="desk"))["to"] == "desk", "another name")
    await desk.refused("rename", "does not exist", device="lamp", name="other")
    check("desk" in json.dumps(await desk.call("devices")), "it was not renamed")

    async def ask() -> Any:
        return await desk.call("permit_join", seconds=0)

    check(await desk.event("bridge_events", ask), "no event of the bridge")
    return version


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
