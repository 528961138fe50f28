"""Printers: OctoPrint with its virtual printer."""

from __future__ import annotations

import urllib.request
from typing import Any

from ..desk import Desk, check, free_port, python_package, python_version


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
