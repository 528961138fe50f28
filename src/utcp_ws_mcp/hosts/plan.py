"""Plan the change that installs a server into a host, or removes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ..errors import InstallError
from ..records import Record
from .change import Change, CommandChange, FileChange
from .config_file import ConfigFile, read_config_file
from .hosts import HostApp

_OUR_COMMAND: Final = re.compile(r"utcp[-_]ws[-_]mcp")


class Target(Record):
    """A host and its file. If `command` is set (Claude Code), the host changes the file itself."""

    host: HostApp
    path: Path
    command: str | None = None


def plan_install(target: Target, name: str, command: Sequence[str]) -> Change:
    """Return the change after which the host starts a server.

    Args:
        target: The host and its file.
        name: The name of the server in the host.
        command: The program and its arguments.

    Raises:
        InstallError: If the file is not valid, or another server has this name.
    """
    file, entries = _entries(target)
    if name in entries and not _OUR_COMMAND.search(entries[name]):
        message = f"{file.path} has another server {name!r}. Give this one another name with --name."
        raise InstallError(message, code="server-name-taken")
    if target.command is not None:
        remove = [_remove_command(target.command, name)] if name in entries else []
        return CommandChange([*remove, [target.command, "mcp", "add", "--scope", "user", name, "--", *command]])
    host = target.host
    after = host.config_format.set_entry(file.text, host.servers_key, name, host.server_entry(name, list(command)))
    return FileChange(file, after, host.config_format.secrets(file.text))


def plan_uninstall(target: Target, name: str | None) -> tuple[str, Change]:
    """Return the name of a server, and the change that removes it from the host.

    Args:
        target: The host and its file.
        name: The name of the server; None for the only server of this package.

    Raises:
        InstallError: If the file is not valid, or there is no such server, or several.
    """
    file, entries = _entries(target)
    name = _single_server(file, entries) if name is None else name
    if name not in entries:
        raise InstallError(f"{file.path} has no server {name!r}. Nothing was changed.", code="server-not-found")
    if not _OUR_COMMAND.search(entries[name]):
        message = f"the server {name!r} in {file.path} was not installed by utcp-ws-mcp. Nothing was changed."
        raise InstallError(message, code="server-not-ours")
    if target.command is not None:
        return name, CommandChange([_remove_command(target.command, name)])
    config_format = target.host.config_format
    after = config_format.remove_entry(file.text, target.host.servers_key, name)
    return name, FileChange(file, after, config_format.secrets(file.text))


def _entries(target: Target) -> tuple[ConfigFile, Mapping[str, str]]:
    file = read_config_file(target.path)
    text = file.text
    try:
        return file, target.host.config_format.entries(text, target.host.servers_key)
    except InstallError as invalid:
        message = f"{file.path}: {invalid.message} Nothing was changed."
        raise InstallError(message, code=invalid.code) from None


def _single_server(file: ConfigFile, entries: Mapping[str, str]) -> str:
    ours = [name for name, text in entries.items() if _OUR_COMMAND.search(text)]
    if not ours:
        message = f"{file.path} has no server of utcp-ws-mcp. Nothing was changed."
        raise InstallError(message, code="server-not-found")
    if len(ours) > 1:
        message = f"{file.path} has several servers of utcp-ws-mcp. Choose one with --name: {', '.join(ours)}."
        raise InstallError(message, code="server-ambiguous")
    return ours[0]


def _remove_command(command: str, name: str) -> list[str]:
    return [command, "mcp", "remove", "--scope", "user", name]
