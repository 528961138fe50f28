"""Plan the installation of manifests, or of `author`, into a host: the command, the change, and what to warn of."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..client.catalog import find_manifest, portable_word
from ..client.manifest_files import LoadedManifest, load_manifest
from ..core.tools.mcp_names import has_server_name
from ..records import Record
from .change import Change
from .hosts import supported_hosts
from .plan import Target, plan_install

CLAUDE_CODE: Final = "claude-code"
DEFAULT_SERVER_NAME: Final = "websocket"
"""The name of a server with several call templates."""

AUTHOR_SERVER_NAME: Final = "websocket-author"
"""The name of the server with which an agent makes manifests."""

SERVER_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
"""The names of servers that hosts accept."""

NAME_RULE: Final = "hosts accept 1 to 64 letters, digits, _ and -"

INHERITED_ENV: Final = ("HOME", "USER", "LOGNAME", "PATH", "SHELL", "TERM", "LANG", "TMPDIR")
INHERITED_ENV_WINDOWS: Final = ("APPDATA", "LOCALAPPDATA", "USERPROFILE", "USERNAME", "SYSTEMROOT", "TEMP", "PATH")
"""Variables that hosts pass to every server; the MCP SDK calls them DEFAULT_INHERITED_ENV_VARS."""


class Place(Record):
    """Where a server is installed.

    Attributes:
        host: The name of the host, a key of `supported_hosts`.
        name: The name of the server in it; None for one that says what it offers.
        config: The file of the host, if it is not in its usual place.
    """

    host: str
    name: str | None = None
    config: Path | None = None

    @property
    def title(self) -> str:
        """The name of the host for people."""
        return supported_hosts()[self.host].title

    def target(self) -> Target:
        """Return the host and its file.

        A running Claude Code rewrites its file, so its own command makes the change if it is installed.
        """
        host = supported_hosts()[self.host]
        claude = shutil.which("claude") if self.host == CLAUDE_CODE and self.config is None else None
        if claude is not None:
            folder = os.environ.get("CLAUDE_CONFIG_DIR") or str(Path.home())
            return Target(host, Path(folder) / ".claude.json", claude)
        return Target(host, self.config or host.config_path(sys.platform, os.environ, Path.cwd()))


class Installation(Record):
    """An installation that can be shown before it is applied.

    Attributes:
        change: The change of the host's configuration; its `diff` is empty if there is nothing to change.
        success: What to say when it was applied, or was there before.
        warnings: What may be missing in the host.
    """

    change: Change
    success: str
    warnings: tuple[str, ...]


def plan_server(
    place: Place, manifests: Sequence[Path], env_files: Sequence[Path], loaded: Sequence[LoadedManifest]
) -> Installation:
    """Return the installation of a server for manifests.

    Args:
        place: Where it is installed.
        manifests: The words of the command line, files or names of the catalogue.
        env_files: The files with variables that it reads.
        loaded: The manifests.

    Raises:
        InstallError: If the file of the host is not valid, or another server has the name.
    """
    target, name = place.target(), place.name or default_name(loaded)
    words = [portable_word(manifest, find_manifest(manifest)) for manifest in manifests]
    command = [*_program_command(), *_file_options(env_files), *_server_name_option(target, name, loaded), *words]
    warnings = (*_shell_only_variables(manifests, env_files, place.title), *_ephemeral_install_warnings())
    return _planned(place, target, name, command, warnings)


def plan_author(place: Place, folder: Path, env_files: Sequence[Path], grants: Sequence[str]) -> Installation:
    """Return the installation of the server with which an agent makes manifests in a folder.

    Raises:
        InstallError: As `plan_server` does.
    """
    command = [*_program_command(), "author", *_file_options(env_files), *grants, str(folder.absolute())]
    return _planned(
        place, place.target(), place.name or AUTHOR_SERVER_NAME, command, tuple(_ephemeral_install_warnings())
    )


def default_name(manifests: Sequence[LoadedManifest]) -> str:
    """Return the name that a server for these manifests gets without another one."""
    names = [entry.name for loaded in manifests for entry in loaded.manifest.entries]
    return re.sub(r"[^A-Za-z0-9_-]", "-", names[0])[:64] if len(names) == 1 else DEFAULT_SERVER_NAME


def _planned(
    place: Place, target: Target, name: str, command: Sequence[str], warnings: tuple[str, ...]
) -> Installation:
    change = plan_install(target, name, command)
    next_step = "/mcp in a new session shows it" if target.command else target.host.next_step
    return Installation(change, f"{place.title} has a server {name!r}; {next_step}", warnings)


def _file_options(env_files: Sequence[Path]) -> list[str]:
    return [part for file in env_files for part in ("--env-file", str(file.absolute()))]


def _server_name_option(target: Target, name: str, manifests: Sequence[LoadedManifest]) -> list[str]:
    """Return the option that keeps the host from showing a name twice, such as `mcp__demo__demo_add`."""
    manuals = [entry.name for loaded in manifests for entry in loaded.manifest.entries]
    is_repeated = any(has_server_name(manual, name) for manual in manuals)
    return ["--server-name", name] if target.host.adds_server_name and is_repeated else []


def _program_command() -> list[str]:
    """Return the command that starts this program, with absolute paths: hosts start servers in any folder."""
    script = Path(sys.executable).with_name("utcp-ws-mcp.exe" if sys.platform == "win32" else "utcp-ws-mcp")
    return [str(script)] if script.is_file() else [str(Path(sys.executable).absolute()), "-m", "utcp_ws_mcp"]


def _shell_only_variables(manifests: Sequence[Path], env_files: Sequence[Path], host_title: str) -> list[str]:
    """Return a warning for each call template whose variables are set only in this shell."""
    known = INHERITED_ENV_WINDOWS if sys.platform == "win32" else INHERITED_ENV
    environ = {name: os.environ[name] for name in known if name in os.environ}
    loaded = [load_manifest(find_manifest(manifest), environ, env_files) for manifest in manifests]
    return [
        f"{disabled.name}: {', '.join(disabled.missing)}: set in this shell, but {host_title} may not have it. "
        "Write NAME=value to a file that only you can read, and pass it with --env-file FILE."
        for each in loaded
        for disabled in each.manifest.disabled
    ]


def _ephemeral_install_warnings() -> list[str]:
    """Return a warning if this program is in a cache of uv, from which it may be deleted."""
    parts = Path(sys.prefix).parts
    if not any(part.startswith(("archive-v", "environments-v")) for part in parts):
        return []
    message = "this program is in the cache of uv, which may be cleaned."
    return [f"{message} Run `uv tool install utcp-ws-mcp`, then install again."]
