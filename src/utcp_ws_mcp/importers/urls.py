"""The URL of an endpoint, and what a manifest needs beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ..core.network_policy import parse_url
from ..errors import BridgeError, ImportFailed
from ..recorder.manifest import network_fields
from ..records import Record
from .model import Document
from .naming import manual_name

_VARIABLE: Final = re.compile(r"\{([^{}]+)\}")
_PLACEHOLDER: Final = re.compile(r"[{}$]|UTCP_ARG_")


class Server(Record):
    """A server of a description: its URL, with variables filled in where they have a default."""

    url: str

    @property
    def is_websocket(self) -> bool:
        """Return whether it is a WebSocket endpoint."""
        return self.url.startswith(("ws://", "wss://"))


def fill_variables(url: str, variables: Any, title: Any, resolve: Callable[[Any], Any] = lambda value: value) -> str:
    """Return a URL with the defaults of its variables, and `${API_NAME}` for those without one.

    A default that a manifest would take for a placeholder counts as none, and so does an empty one in the host. The
    name begins with that of the API: the environment has variables such as `USER`, `HOST` and `PATH`, which must not
    go to an endpoint.
    """

    def value(found: re.Match[str]) -> str:
        definition = resolve(variables.get(found[1])) if isinstance(variables, Mapping) else None
        definition = definition if isinstance(definition, Mapping) else {}
        options = definition.get("enum")
        default = definition.get("default", options[0] if isinstance(options, list) and options else None)
        is_in_path = "/" in url[: found.start()].partition("://")[2]
        is_usable = default is not None and (default != "" or is_in_path) and not _PLACEHOLDER.search(str(default))
        return str(default) if is_usable else f"${{{api_variable(title, found[1])}}}"

    return _VARIABLE.sub(value, url)


def variable_name(name: str) -> str:
    """Return the name of a variable in a manifest for a name in a description."""
    upper = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).strip("_").upper()
    return upper if re.match(r"[A-Z_]", upper) else f"VALUE_{upper}"


def shown_url(url: str) -> str:
    """Return a URL as it may be shown: without its query and its user name and password, which may be secrets."""
    return re.sub(r"(?<=//)[^/?#]*@", "", url.partition("?")[0])


def api_variable(title: Any, name: str) -> str:
    """Return the name of a variable that belongs to the API of a title."""
    return f"{variable_name(manual_name(str(title or 'api')))}_{variable_name(name)}"


def choose_server(servers: Sequence[Server], url: str | None, source: str) -> Server:
    """Return the server to use: the URL that the user gave, or the first WebSocket endpoint of the description.

    Raises:
        ImportFailed: if there is none.
    """
    if url is not None:
        return Server(url)
    found = next((server for server in servers if server.is_websocket), None)
    if found is not None:
        return found
    if not servers:
        message = f"{source} names no server. Give the WebSocket endpoint with --url wss://…"
        raise ImportFailed(message, code="server-missing")
    named = ", ".join(dict.fromkeys(server.url for server in servers[:3]))
    message = (
        f"{source} names no WebSocket endpoint, only {named}. If the API has one, give it with --url wss://…; "
        "an API over HTTP alone cannot be imported."
    )
    raise ImportFailed(message, code="server-not-websocket")


def endpoint_fields(url: str) -> Document:
    """Return the fields of a call template that an endpoint with this URL needs.

    Raises:
        ImportFailed: if it is no URL of a WebSocket.
    """
    plain = re.sub(r"\{\{.*?\}\}|\$\{[A-Za-z_0-9]+\}", "x", url)
    try:
        parsed = parse_url(plain)
    except BridgeError as invalid:
        message = f"the URL of the endpoint cannot be used: {invalid.message} Give another one with --url."
        raise ImportFailed(message, code="server-not-usable") from None
    return {"url": url, **network_fields(parsed)}
