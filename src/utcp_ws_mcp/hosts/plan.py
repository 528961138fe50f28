"""Which change puts a server into a host, or takes it out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import CannotInstall
from .change import Change, CommandChange, FileChange
from .config_file import HostFile, read_host_file
from .hosts import Host

_OURS: Final = re.compile(r"utcp[-_]ws[-_]mcp")


@dataclass(frozen=True, slots=True)
class Target:
    """A host and its file. With `command` (of Claude Code) the host changes the file itself."""

    host: Host
    path: Path
    command: str | None = None


def plan_install(target: Target, name: str, command: Sequence[str]) -> Change:
    """The change that lets the host start `command` as a server `name`.

    Raises:
        CannotInstall: if the file is not understood, or another server has this name.
    """
    file, entries = _entries(target)
    if name in entries and not _OURS.search(entries[name]):
        raise CannotInstall(f"{file.path} has another server {name!r}; give this one another name with --name")
    if target.command is not None:
        remove = [_remove(target.command, name)] if name in entries else []
        return CommandChange([*remove, [target.command, "mcp", "add", "--scope", "user", name, "--", *command]])
    host = target.host
    after = host.text.put(file.text, host.servers, name, host.describe(name, list(command)))
    return FileChange(file, after, host.text.secrets(file.text))


def plan_uninstall(target: Target, name: str | None) -> tuple[str, Change]:
    """The server that is meant, and the change that takes it out of the host. Without a name it must be the only one.

    Raises:
        CannotInstall: if the file is not understood, or there is no such server, or several.
    """
    file, entries = _entries(target)
    name = _only(file, entries) if name is None else name
    if name not in entries:
        raise CannotInstall(f"{file.path} has no server {name!r}; nothing is changed")
    if not _OURS.search(entries[name]):
        raise CannotInstall(f"the server {name!r} in {file.path} is not of utcp-ws-mcp; nothing is changed")
    if target.command is not None:
        return name, CommandChange([_remove(target.command, name)])
    text = target.host.text
    return name, FileChange(file, text.drop(file.text, target.host.servers, name), text.secrets(file.text))


def _entries(target: Target) -> tuple[HostFile, Mapping[str, str]]:
    file = read_host_file(target.path)
    text = file.text
    try:
        return file, target.host.text.entries(text, target.host.servers)
    except CannotInstall as wrong:
        raise CannotInstall(f"{file.path}: {wrong}; nothing is changed") from None


def _only(file: HostFile, entries: Mapping[str, str]) -> str:
    ours = [name for name, text in entries.items() if _OURS.search(text)]
    if not ours:
        raise CannotInstall(f"{file.path} has no server of utcp-ws-mcp; nothing is changed")
    if len(ours) > 1:
        raise CannotInstall(f"{file.path} has several servers of utcp-ws-mcp; say which with --name: {', '.join(ours)}")
    return ours[0]


def _remove(command: str, name: str) -> list[str]:
    return [command, "mcp", "remove", "--scope", "user", name]
