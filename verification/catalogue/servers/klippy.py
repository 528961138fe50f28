"""A Klipper that is always ready, for Moonraker: its API server on a UNIX socket, as Klipper documents it.

    python klippy.py SOCKET FOLDER

Messages are JSON, each ended by the byte 3. It keeps the state of a print, and answers G-code with an echo.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Any

END = b"\x03"
OBJECTS: dict[str, Any] = {
    "webhooks": {"state": "ready", "state_message": "Printer is ready"},
    "print_stats": {"state": "standby", "filename": "", "total_duration": 0.0, "print_duration": 0.0},
    "virtual_sdcard": {"is_active": False, "progress": 0.0, "file_position": 0},
    "display_status": {"progress": 0.0, "message": None},
    "extruder": {"temperature": 25.0, "target": 0.0},
    "heater_bed": {"temperature": 25.0, "target": 0.0},
    "toolhead": {"position": [0, 0, 0, 0], "homed_axes": "xyz"},
    "configfile": {"config": {}, "settings": {}},
    "gcode": {"commands": {}},
    "pause_resume": {"is_paused": False},
}
ENDPOINTS = (
    *("info", "list_endpoints", "objects/list", "objects/query", "objects/subscribe"),
    *("gcode/help", "gcode/script", "gcode/subscribe_output", "gcode/restart", "gcode/firmware_restart"),
    *("emergency_stop", "pause_resume/pause", "pause_resume/resume", "pause_resume/cancel", "query_endstops/status"),
)


class Klippy:
    """The state, and the connection of Moonraker."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.writers: list[asyncio.StreamWriter] = []
        self.subscription: dict[str, Any] | None = None
        self.output: dict[str, Any] | None = None

    def send(self, message: Any) -> None:
        """Send a message to Moonraker."""
        for writer in self.writers:
            writer.write(json.dumps(message).encode() + END)

    def change(self, name: str, **values: Any) -> None:
        """Change an object, and tell Moonraker."""
        OBJECTS[name].update(values)
        if self.subscription is not None:
            self.send({**self.subscription, "params": {"eventtime": 1.0, "status": {name: values}}})

    def answer(self, method: str, params: dict[str, Any]) -> Any:
        """Return the result of a request."""
        if method == "info":
            paths = {
                "klipper_path": self.folder,
                "python_path": sys.executable,
                "log_file": f"{self.folder}/klippy.log",
            }
            names = {"config_file": f"{self.folder}/config/printer.cfg", "hostname": "test", "cpu_info": "test"}
            state = {"state": "ready", "state_message": "Printer is ready", "software_version": "v0.13.0-scripted"}
            return {**paths, **names, **state, "process_id": 1, "user_id": 0, "group_id": 0, "app": "Klipper"}
        if method == "list_endpoints":
            return {"endpoints": list(ENDPOINTS)}
        if method == "objects/list":
            return {"objects": list(OBJECTS)}
        if method in ("objects/query", "objects/subscribe"):
            if method == "objects/subscribe":
                self.subscription = params.get("response_template", {})
            wanted = params.get("objects", {})
            return {"eventtime": 1.0, "status": {name: OBJECTS.get(name, {}) for name in wanted}}
        if method == "gcode/subscribe_output":
            self.output = params.get("response_template", {})
        if method == "gcode/script":
            self.run(params["script"])
        if method == "pause_resume/pause":
            self.change("print_stats", state="paused")
        if method == "pause_resume/cancel":
            self.change("print_stats", state="cancelled")
        return {}

    def run(self, script: str) -> None:
        """Run G-code: it is echoed; SDCARD_PRINT_FILE starts a print."""
        if "SDCARD_PRINT_FILE" in script:
            name = script.rpartition("FILENAME=")[2].strip("\"' ")
            self.change("print_stats", state="printing", filename=name)
        if self.output is not None:
            self.send({**self.output, "params": {"response": f"echo: {script}"}})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = json.loads((await reader.readuntil(END))[:-1])
                result = self.answer(request["method"], request.get("params") or {})
                if "id" in request:
                    self.send({"id": request["id"], "result": result})
                await writer.drain()
        self.writers.remove(writer)


async def main() -> None:
    """Listen on the socket."""
    socket, folder = sys.argv[1:3]
    server = await asyncio.start_unix_server(Klippy(folder).serve, socket, limit=1 << 20)
    await server.serve_forever()


asyncio.run(main())
