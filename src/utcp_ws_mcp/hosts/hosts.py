"""The supported hosts: where their configuration files are, and what a server looks like in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, Protocol

from ..records import Record, field
from . import jsonc, toml_config, yaml_config


class ConfigFormat(Protocol):
    """How an entry is found and changed in the text of a configuration file."""

    def entries(self, text: str, servers_key: str) -> Mapping[str, str]:
        """Return the text of each entry by its name."""

    def secrets(self, text: str) -> set[str]:
        """Return the texts to hide in a diff."""

    def set_entry(self, text: str, servers_key: str, name: str, entry: Mapping[str, Any]) -> str:
        """Return the text with an entry."""

    def remove_entry(self, text: str, servers_key: str, name: str) -> str:
        """Return the text without an entry."""


FORMATS: Final[Mapping[str, ConfigFormat]] = {
    "json": jsonc,
    "goose": yaml_config.MAPPING,
    "yaml-list": yaml_config.LIST,
    "toml": toml_config,
}


class HostApp(Record):
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
    def config_format(self) -> ConfigFormat:
        """The format of the file of this host."""
        return FORMATS[self.format]


@cache
def supported_hosts() -> dict[str, HostApp]:
    """Return the hosts by their names on the command line."""
    document = json.loads((resources.files(__package__) / "hosts.json").read_text(encoding="utf-8"))
    return {name: HostApp(**fields) for name, fields in document.items()}
