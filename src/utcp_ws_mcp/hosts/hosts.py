"""The hosts that are known: where their files are, and what a server looks like in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from . import jsonc, yaml

FORMATS: Final[Mapping[str, ModuleType]] = {"json": jsonc, "yaml": yaml}


@dataclass(frozen=True, slots=True)
class HostApp:
    """A host. `servers` is the key of its file under which servers stand, `entry` what stands there for one of them.

    `files` are the paths by platform, with {home}, {cwd} and {config}; `then` is what a person does afterwards.
    """

    title: str
    format: str
    servers_key: str
    entry_template: Mapping[str, Any]
    files: Mapping[str, str]
    next_step: str

    def config_path(self, platform: str, environ: Mapping[str, str], cwd: Path) -> Path:
        """The host's file on a platform (as `sys.platform` names it)."""
        known = platform if platform in self.files else "linux"
        home = environ.get("USERPROFILE" if known == "win32" else "HOME") or str(Path.home())
        configs = {
            "linux": environ.get("XDG_CONFIG_HOME") or f"{home}/.config",
            "darwin": f"{home}/Library/Application Support",
            "win32": environ.get("APPDATA") or f"{home}/AppData/Roaming",
        }
        return Path(self.files[known].format(home=home, cwd=cwd, config=configs[known]))

    def server_entry(self, name: str, command: list[str]) -> dict[str, Any]:
        """The entry of a server that a command starts."""
        values = {"$NAME": name, "$COMMAND": command[0], "$ARGS": command[1:]}
        return {
            key: values.get(value, value) if isinstance(value, str) else value
            for key, value in self.entry_template.items()
        }

    @property
    def format_module(self) -> ModuleType:
        """The module that changes texts of this host's format: `entries`, `put`, `drop`."""
        return FORMATS[self.format]


@cache
def supported_hosts() -> dict[str, HostApp]:
    """The hosts by the names that the command line has for them."""
    document = json.loads((resources.files(__package__) / "hosts.json").read_text(encoding="utf-8"))
    return {name: HostApp(**fields) for name, fields in document.items()}
