"""The connections of a document: URLs with their arguments, and credentials."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from ...core.feeds.tool_texts import RESERVED_ARGUMENTS
from ...core.query_template import names_in
from ...core.templates.tokens import has_placeholders
from ...manifest.secret_names import is_secret_name
from ...recorder.messages import literal
from ...recorder.templates import escape_template
from ...records import Record, field, replace
from ..model import Document
from ..naming import argument_name
from ..urls import Server, api_variable, choose_server, endpoint_fields
from .model import Api, Channel
from .socketio import PRESET, is_socketio

_CHALLENGES: Final = frozenset(
    {"digest", "negotiate", "ntlm", "hoba", "mutual", "dpop", "scram-sha-1", "scram-sha-256"}
)
"""Schemes of HTTP authentication whose header depends on a challenge of the server."""

PARAMETER: Final = re.compile(r"\{([^{}]+)\}")
"""A parameter in the address of a channel."""


class Connection(Record):
    """What the channels of one URL share.

    Attributes:
        url: The URL, with placeholders for its arguments.
        inputs: The schemas of the arguments of the URL and of its query.
        required: Those that have to be given.
        fields: The fields of the call template.
        variables: The variables that have to be set, and what they are.
        own_path: Whether the address of the channel is the path of the URL.
    """

    url: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    required: Sequence[str] = ()
    fields: Document = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    own_path: bool = False

    @property
    def key(self) -> str:
        """Return what channels that share a connection have in common: the URL with its query."""
        return json.dumps([self.url, self.fields.get("query")])


class Connections:
    """Finds the connection of each channel."""

    def __init__(self, api: Api, url: str | None, source: str, preset: str | None = None) -> None:
        """Choose the server, and the preset, unless it is given.

        Raises:
            ImportFailed: if the document has no WebSocket endpoint and the user gave none.
        """
        self._api = api
        self.preset = preset or (PRESET if any(is_socketio(each.protocol) for each in api.servers) else None)
        self._given = url
        self._unexpressed: dict[str, str] = {}
        websockets = [server for server in api.servers if server.url.startswith(("ws://", "wss://"))]
        addresses = (each.channel.address or "" for each in api.operations)
        whole = [Server(address) for address in addresses if _is_url(address)]
        self.server = choose_server([*(Server(each.url) for each in api.servers), *whole], url, source)
        self._api_server = next((each for each in websockets if each.url == self.server.url), None)
        self._by_key = {each.key: each for each in websockets}
        # A handshake has the credentials of all calls of its connection.
        self._of_operations = {each.channel.key: each.security for each in reversed(api.operations) if each.security}

    @property
    def is_given(self) -> bool:
        """Return whether the user gave the URL."""
        return self._given is not None

    def of(self, channel: Channel) -> Connection:
        """Return the connection of a channel."""
        server = next((self._by_key[key] for key in channel.servers if key in self._by_key), self._api_server)
        base = self._given or (server.url if server else self.server.url)
        address = channel.address or "" if self.is_path(channel) else ""
        if _is_url(address):
            url = urlsplit(address)
            server = next((each for each in self._by_key.values() if urlsplit(each.url).netloc == url.netloc), None)
            base = self._given or f"{url.scheme}://{url.netloc}"
            address = address.removeprefix(f"{url.scheme}://{url.netloc}")
        own_path = address not in ("", "/") and not _has_path(base, address, self._given)
        connection = Connection(_joined(base, address) if own_path else base, own_path=own_path)
        connection = self._with_parameters(connection, channel)
        schemes = [*(server.security if server is not None else ()), *self._of_operations.get(channel.key, ())]
        headers = channel.bindings.get("headers")
        has_others = bool(schemes) or any(is_secret_name(name) for name, _, _ in _headers(headers))
        connection = self._with_headers(connection, headers)
        connection = self._with_security(connection, schemes)
        queries = [server.bindings.get("query") if server is not None else None, channel.bindings.get("query")]
        connection = self._with_query(connection, queries, optional_secrets=not has_others)
        return replace(connection, fields={**endpoint_fields(connection.url), **connection.fields})

    def is_path(self, channel: Channel) -> bool:
        """Return whether the address of a channel is a path, and not a topic on a shared connection."""
        address = channel.address or ""
        if self.preset == PRESET:
            return False
        return address.startswith("/") or _is_url(address) or bool(channel.bindings)

    def _with_parameters(self, connection: Connection, channel: Channel) -> Connection:
        inputs, required = dict(connection.inputs), list(connection.required)

        def placeholder(found: re.Match[str]) -> str:
            schema = {key: value for key, value in channel.parameters.get(found[1], {}).items() if key != "location"}
            name = argument_name(found[1], {*inputs, *RESERVED_ARGUMENTS})
            if "default" in schema:
                inputs[name] = {"type": "string", **schema}
                return f"{{{{ args.{name} | default({literal(str(schema['default']))}) }}}}"
            inputs[name] = {"type": "string", **{k: v for k, v in schema.items() if k != "examples"}}
            required.append(name)
            return f"{{{{ args.{name} }}}}"

        if not connection.own_path:
            return connection
        parts = connection.url.split("://", 1)
        url = f"{parts[0]}://{PARAMETER.sub(placeholder, parts[1].replace('${', chr(0))).replace(chr(0), '${')}"
        return replace(connection, url=url, inputs=inputs, required=required)

    def _with_query(self, connection: Connection, queries: Sequence[Any], *, optional_secrets: bool) -> Connection:
        """Return the connection with a query: optional secrets only where there are no other credentials.

        What the URL or the credentials send already is left out. An argument that is not given leaves its parameter
        out.
        """
        inputs, required = dict(connection.inputs), list(connection.required)
        variables, found = dict(connection.variables), dict(connection.fields.get("query", {}))
        auth = connection.fields.get("auth", {})
        taken = {*found, *names_in(connection.url), *([auth["var_name"]] if auth.get("location") == "query" else ())}
        for name, schema, is_required in (each for query in queries for each in _binding_properties(query)):
            if name in taken:
                continue
            if isinstance(constant := schema.get("const"), str | int | float):
                found[name] = escape_template(constant, ()) if isinstance(constant, str) else constant
            elif not is_secret_name(name):
                argument = argument_name(name, {*inputs, *RESERVED_ARGUMENTS})
                inputs[argument] = schema
                required += [argument] if is_required and "default" not in schema else []
                found[name] = f"{{{{ args.{argument} }}}}"
            elif is_required or optional_secrets:
                variable = self._variable(name)
                variables[variable] = _described(schema, f"the parameter {name} of the URL")
                found[name] = f"${{{variable}}}"
        fields = {**connection.fields, **({"query": found} if found else {})}
        return replace(connection, inputs=inputs, required=required, variables=variables, fields=fields)

    def _with_headers(self, connection: Connection, headers: Any) -> Connection:
        fields, variables = dict(connection.fields), dict(connection.variables)
        found: dict[str, str] = {}
        for name, schema, is_required in _headers(headers):
            if "const" in schema or "default" in schema:
                found[name] = str(schema.get("const", schema.get("default")))
            elif is_required or is_secret_name(name):
                variable = self._variable(name)
                variables[variable] = _described(schema, f"the header {name}")
                found[name] = f"${{{variable}}}"
        if not found:
            return connection
        return replace(connection, fields={**fields, "headers": found}, variables=variables)

    def _with_security(self, connection: Connection, schemes: Sequence[Mapping[str, Any]]) -> Connection:
        """Return the connection with the first security scheme that a handshake can have."""
        optional = not schemes and self._api_server is None  # no server says which ones are needed
        if optional:
            schemes = [{"key": key, **scheme} for key, scheme in self._api.schemes.items()]
            schemes.sort(key=_rank)
        for scheme in schemes:
            found = self._credentials(scheme, optional)
            if found is not None:
                fields, variables = found
                merged = {**connection.fields, **fields}
                if "headers" in fields:
                    merged["headers"] = {**connection.fields.get("headers", {}), **fields["headers"]}
                return replace(connection, fields=merged, variables={**connection.variables, **variables})
        if not optional:
            self._unexpressed |= {str(each.get("key", "")): str(each.get("type", "")) for each in schemes}
        return connection

    def notes(self) -> Iterator[str]:
        """Yield the security schemes that are not expressed, and what the user must do."""
        named = ", ".join(key if key == kind else f"{key} ({kind})" for key, kind in self._unexpressed.items())
        if named:
            yield f"Not expressed: the security schemes {named}. If the endpoint requires one of them, add it by hand."

    def _credentials(self, scheme: Mapping[str, Any], optional: bool) -> tuple[Document, dict[str, str]] | None:
        """Return the fields and variables for a security scheme, or None if it does not belong to the handshake."""
        kind, key = str(scheme.get("type", "")).lower(), str(scheme.get("key", "token"))
        name, place = str(scheme.get("name", "")), str(scheme.get("in", ""))
        variable = self._variable(name if kind == "httpapikey" and is_secret_name(name) else key)
        said = _described(scheme, "")
        value = f"{{{{ vars.{variable} | default(omit) }}}}" if optional else f"${{{variable}}}"
        if kind == "httpapikey" and name.lower() == "sec-websocket-protocol":
            return {"protocol": [value]}, {variable: said or "the token that is sent as a subprotocol"}
        if kind == "httpapikey" and place == "header":
            return {"headers": {name: value}}, {variable: said or f"the header {name}"}
        if kind == "httpapikey" and place == "query" and optional:
            return {"query": {name: value}}, {variable: said or f"the parameter {name} of the URL"}
        if kind == "httpapikey" and not optional:
            auth = {"auth_type": "api_key", "api_key": value, "var_name": name, "location": place}
            return {"auth": auth}, {variable: said or f"the key {name} in the {place}"}
        is_basic = kind == "userpassword" or (kind == "http" and str(scheme.get("scheme")).lower() == "basic")
        if is_basic and not optional:
            user, password = self._variable("user"), self._variable("password")
            auth = {"auth_type": "basic", "username": f"${{{user}}}", "password": f"${{{password}}}"}
            return {"auth": auth}, {user: "the name of the user", password: "the password of the user"}
        is_challenge = kind == "http" and str(scheme.get("scheme")).lower() in _CHALLENGES
        if kind in ("http", "oauth2", "openidconnect") and not (is_basic or is_challenge):
            header = {"Authorization": f"Bearer {value}"}
            return {"headers": header}, {variable: said or "the bearer token"}
        return None

    def _variable(self, name: str) -> str:
        return api_variable(self._api.title, name)


def _rank(scheme: Mapping[str, Any]) -> int:
    """Return how late a scheme is chosen: what browsers can send first, and last what logs of servers show."""
    return 0 if str(scheme.get("name", "")).lower() == "sec-websocket-protocol" else 1 + (scheme.get("in") == "query")


def _is_url(address: str) -> bool:
    """Return whether the address of a channel is the URL of an endpoint, and no path at a server."""
    return address.startswith(("ws://", "wss://"))


def _binding_properties(schema: Any) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Yield the properties of a binding: name, schema, and whether it is required."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    required: Collection[str] = (schema.get("required") or ()) if isinstance(schema, Mapping) else ()
    for name, each in properties.items() if isinstance(properties, Mapping) else ():
        if isinstance(each, Mapping) and name and not has_placeholders(name):
            yield name, each, name in required


def _headers(schema: Any) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Yield the properties of a binding that are headers by their names."""
    return (each for each in _binding_properties(schema) if re.fullmatch(r"[\w.-]+", each[0]))


def _has_path(base: str, address: str, given: str | None) -> bool:
    """Return whether a URL ends with an address already, or was given whole."""
    path = urlsplit(base).path
    return path.rstrip("/").endswith(address.rstrip("/")) or (given is not None and path not in ("", "/"))


def _joined(base: str, address: str) -> str:
    url, mark, query = base.partition("?")
    return f"{url.rstrip('/')}/{address.lstrip('/')}{mark}{query}"


def _described(schema: Mapping[str, Any], default: str) -> str:
    text = schema.get("description")
    return " ".join(text.split())[:120] if isinstance(text, str) and text.strip() else default
