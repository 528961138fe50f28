"""Change one entry in a TOML file. tomlkit keeps comments, order and white space of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..errors import InstallError

_SECRET_TABLES: Final = ("env", "http_headers", "headers")


def entries(text: str, servers_key: str) -> dict[str, str]:
    """Return the text of each entry below a top-level key.

    Raises:
        InstallError: If the text is not TOML of the expected form. The message begins with the line.
    """
    return {name: str(entry.unwrap()) for name, entry in _servers(_parse(text), servers_key).items()}


def secrets(text: str) -> set[str]:
    """Return the texts below `env` and headers, which a diff must hide."""
    found: set[str] = set()

    def search(value: Any, inside: bool) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                search(item, inside or key in _SECRET_TABLES)
        elif isinstance(value, list):
            for item in value:
                search(item, inside)
        elif isinstance(value, str) and inside and value:
            found.add(value)

    search(_parse(text).unwrap(), False)
    return found


def set_entry(text: str, servers_key: str, name: str, entry: Mapping[str, Any]) -> str:
    """Return the text with an entry, added after the others or in place of one with its name.

    Raises:
        InstallError: As `entries` does.
    """
    import tomlkit  # here, because only hosts with TOML files need it

    document = _parse(text)
    servers = _servers(document, servers_key)
    if servers_key not in document:
        servers = document[servers_key] = tomlkit.table(is_super_table=True)
    table = tomlkit.table()
    table.update(entry)
    servers[name] = table
    return tomlkit.dumps(document)


def remove_entry(text: str, servers_key: str, name: str) -> str:
    """Return the text without an entry, which must exist."""
    import tomlkit

    document = _parse(text)
    servers = _servers(document, servers_key)
    del servers[name]
    if not servers:
        del document[servers_key]
    return tomlkit.dumps(document)


def _parse(text: str) -> Any:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(text)
    except TOMLKitError as failed:
        line = getattr(failed, "line", None)
        place = f"line {line}: " if line else ""
        raise InstallError(f"{place}invalid TOML.") from None


def _servers(document: Any, servers_key: str) -> Any:
    servers = document.get(servers_key, {})
    if not isinstance(servers, dict) or not all(isinstance(entry, dict) for entry in servers.values()):
        raise InstallError(f"expected one table for each server under {servers_key!r}.")
    return servers
