"""The supported hosts: where their configuration files are, and what a server looks like in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from . import goose_config, jsonc, toml_config, yaml_list_config

FORMATS: Final[Mapping[str, ModuleType]] = {
    "json": jsonc,
    "goose": goose_config,
    "yaml-list": yaml_list_config,
    "toml": toml_config,
}


@dataclass(frozen=True, slots=True)
class HostApp:
    """An MCP host application.

    Attributes:
        title: Its name for people.
        format: The format of its file, a key of `FORMATS`.
        servers_key: The key of its file whose object has an entry for each server.
        entry_template: The entry of a server, with $NAME, $COMMAND, $ARGS and $COMMAND_LINE (both) as values.
        files: The path of its file by platform, with {home}, {cwd}, {config} and {folder}.
        next_step: What a person does after the installation.
        folder: The folder of the host: an environment variable, and its value if it is not set.
        adds_server_name: Whether the host puts the name of the server before the names of tools.
    """

    title: str
    format: str
    servers_key: str
    entry_template: Mapping[str, Any]
    files: Mapping[str, str]
    next_step: str
    folder: Mapping[str, str] = field(default_factory=dict)
    adds_server_name: bool = False

    def config_path(self, platform: str, environ: Mapping[str, str], cwd: Path) -> Path:
        """Return the path of the host's file.

        Args:
            platform: The platform, as `sys.platform` names it; others than "darwin" and "win32" are like "linux".
            environ: The environment, for the home and configuration folders.
            cwd: The current folder, for hosts with a file in each project.
        """
        known = platform if platform in self.files else "linux"
        home = environ.get("USERPROFILE" if known == "win32" else "HOME") or str(Path.home())
        configs = {
            "linux": environ.get("XDG_CONFIG_HOME") or f"{home}/.config",
            "darwin": f"{home}/Library/Application Support",
            "win32": environ.get("APPDATA") or f"{home}/AppData/Roaming",
        }
        default = self.folder.get("default", "").format(home=home)
        folder = environ.get(self.folder.get("variable", "")) or default
        return Path(self.files[known].format(home=home, cwd=cwd, config=configs[known], folder=folder))

    def server_entry(self, name: str, command: list[str]) -> dict[str, Any]:
        """Return the entry of a server that a command starts."""
        values = {"$NAME": name, "$COMMAND": command[0], "$ARGS": command[1:], "$COMMAND_LINE": command}
        return {
            key: values.get(value, value) if isinstance(value, str) else value
            for key, value in self.entry_template.items()
        }

    @property
    def format_module(self) -> ModuleType:
        """The module for texts of this host: `entries`, `secrets`, `set_entry`, `remove_entry`."""
        return FORMATS[self.format]


@cache
def supported_hosts() -> dict[str, HostApp]:
    """Return the hosts by their names on the command line."""
    document = json.loads((resources.files(__package__) / "hosts.json").read_text(encoding="utf-8"))
    return {name: HostApp(**fields) for name, fields in document.items()}
