"""The opening handshake (RFC 6455 §4.1) of a call: its template, the rendered request, the key of its connection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import PurePath
from typing import Any, ClassVar
from urllib.parse import quote

from ..manifest.models.auth import ApiKeyAuth, credentials_for
from ..manifest.models.call_template import CONNECTION_SETTINGS, CallTemplate
from ..manifest.validation import join_path
from ..records import Record, replace
from .codecs.message import encode_json
from .connection_rules import ConnectionRules
from .expressions.analysis import ALL_MEMBERS
from .header_policy import check_header, check_subprotocol
from .network_policy import URL, check_scheme, parse_url
from .templates.header_rule import render_header
from .templates.nodes import ExpressionValue, Placeholder, render_text, to_text
from .url_template import Parts, UrlTemplate


class ConnectionKey(Record, dict=True):
    """What requests must agree on to share a connection, and nothing else.

    Args:
        manual: The name of the manual: manuals never share connections.
        url: The rendered URL; None while only `before_connect` can complete it.
        headers: The rendered headers, without credentials.
        subprotocols: The rendered subprotocols, in the order of preference.
        rules: What the connection does by itself.
        arguments: The arguments that the connection depends on, as JSON text.
        settings: The values of the template's `CONNECTION_SETTINGS`.
        folder: Where relative paths of certificates start.
        login_arguments: The arguments that the login depends on, as JSON text.
        feed: The feed that has the connection for itself, with its arguments; empty for one that calls share.
    """

    not_in_repr: ClassVar = ("headers", "subprotocols", "rules", "arguments", "settings", "login_arguments", "feed")
    manual: str
    url: URL | None
    headers: tuple[tuple[str, str], ...]
    subprotocols: tuple[str, ...]
    rules: ConnectionRules
    # Text, not values: arguments can be unhashable, and 1, 1.0 and True, which are equal in Python, differ for an API.
    arguments: str
    settings: tuple[object, ...]
    folder: PurePath
    login_arguments: str = ""
    feed: str = ""

    @cached_property
    def endpoint(self) -> tuple[object, ...]:
        """Return what connections have in common that an endpoint counts as those of one client.

        `limits.max_connections` holds for all of them, however else they differ, such as in the parameters of a feed.
        """
        auth = self.settings[CONNECTION_SETTINGS.index("auth")]
        return self.manual, self.url, self.headers, self.rules.login, self.login_arguments, auth

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # The pool looks a key up several times for each call. `settings` and `folder` stay out: they rarely differ
        # where the rest agrees, and hashing the models costs more than one comparison.
        parts = (self.manual, self.url, self.headers, self.subprotocols, self.rules, self.arguments, self.feed)
        return hash(parts)


class HandshakeRequest(Record, eq=False):
    """A rendered opening handshake: all that opening a connection needs. Equal to those with the same key.

    Where the URL, a header or a subprotocol needs what only `before_connect` brings, `deferred` is the template that is
    rendered then, and `url` is None until it is.

    `parameters` are the query parameters of a feed, percent-encoded. They are neither a part of `url` nor of the key:
    both stay the same when the feed goes on behind another event.
    """

    not_in_repr: ClassVar = ("headers", "subprotocols", "template", "deferred", "parameters")
    key: ConnectionKey
    url: URL | None
    headers: tuple[tuple[str, str], ...]
    subprotocols: tuple[str, ...]
    template: CallTemplate
    deferred: HandshakeTemplate | None = None
    parameters: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HandshakeRequest) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def manual(self) -> str:
        """Return the name of the manual."""
        return self.key.manual

    @property
    def connection_rules(self) -> ConnectionRules:
        """Return what the connection does by itself."""
        return self.key.rules

    @property
    def folder(self) -> PurePath:
        """Return where relative paths of certificates start."""
        return self.key.folder

    @property
    def address(self) -> str:
        """Return what errors and logs call the endpoint."""
        return self.url.address if self.url else f"the endpoint of {self.manual}"

    @property
    def server(self) -> URL | None:
        """Return the URL of the endpoint, or as much of it as is known before `before_connect`."""
        return self.url or (self.deferred.server if self.deferred else None)

    def same_server_as(self, url: URL) -> bool:
        """Return whether the endpoint is the server of this URL, as far as that is known."""
        server = self.server
        return server is not None and (server.host, server.port) == (url.host, url.port)

    def for_feed(self, feed: str, parameters: str) -> HandshakeRequest:
        """Return the handshake of a connection that a feed has for itself.

        Args:
            feed: The feed with its arguments.
            parameters: The query parameters that it adds, percent-encoded.
        """
        return replace(self, key=replace(self.key, feed=feed), parameters=parameters)

    def target(self) -> str:
        """Return the target of the request line: path and query, with a credential that belongs into the query."""
        assert self.url is not None
        extra = credentials_for(self.template.auth).query
        pairs = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in extra]
        query = "&".join(filter(None, (self.url.query, self.parameters, *pairs)))
        return f"{self.url.path}?{query}" if query else self.url.path

    def headers_with_auth(self, token: str | None = None) -> tuple[tuple[str, str], ...]:
        """Return the headers of the handshake with credentials.

        Args:
            token: The OAuth2 access token, where the template asks for one.

        Raises:
            ForbiddenHeader: where a header, or a credential that belongs into one, may not be sent.
        """
        credentials = credentials_for(self.template.auth, token).headers
        for name, value in credentials:
            check_header(name, value)
        return (*self.headers, *credentials)  # the others were checked when they were rendered


class HandshakeTemplate(Record, dict=True):
    """The compiled `url`, `headers` and `protocol` of a call template. `constant` is set where no call changes them."""

    not_in_repr: ClassVar = ("url", "headers", "subprotocols")
    manual: str
    template: CallTemplate
    folder: PurePath
    connection_rules: ConnectionRules
    url: UrlTemplate
    headers: tuple[tuple[str, Parts], ...]
    subprotocols: tuple[Parts, ...]
    constant: HandshakeRequest | None = None

    @property
    def uses_arguments(self) -> bool:
        """Return whether opening a connection sends arguments of the call: in the handshake, or in the login."""
        in_handshake = self.template.header_fields or any(each.arguments for each in self.placeholders)
        return bool(self.connection_rules.arguments or in_handshake)

    def render(self, scope: Mapping[str, Any]) -> HandshakeRequest:
        """Return the request for a call with these values.

        Raises:
            RenderError: where an argument is missing.
            PolicyError: where the URL or a header may not be used.
        """
        if self.constant is not None:
            return self.constant
        if self.needs_session:
            return self._deferred_request(scope["args"])
        given, rules = scope["args"], self.connection_rules
        url, headers, subprotocols = self.render_parts(scope)
        arguments, login = (_as_text(_select(given, names)) for names in (rules.arguments, rules.login_arguments))
        key = self._key(url, headers, subprotocols, arguments, login)
        return HandshakeRequest(key, url, headers, subprotocols, self.template)

    def render_parts(self, scope: Mapping[str, Any]) -> tuple[URL, tuple[tuple[str, str], ...], tuple[str, ...]]:
        """Return the URL, the headers and the subprotocols with these values, all of them checked.

        Raises:
            RenderError: where an argument is missing.
            PolicyError: where the URL or a header may not be used.
        """
        url = parse_url(self.url.render(scope))
        check_scheme(url, self.template.network)
        headers = self._render_headers(scope)
        rendered = [render_text(parts, scope) for parts in self.subprotocols]
        subprotocols = tuple(each for each in rendered if each is not None)
        for subprotocol in subprotocols:
            check_subprotocol(subprotocol)
        return url, headers, subprotocols

    @property
    def server(self) -> URL | None:
        """Return the URL without its path where its host is written as literal text, else None."""
        first = self.url.parts[0] if self.url.parts else ""
        literal = first if isinstance(first, str) else ""
        end = r"[/?#]|\Z" if len(self.url.parts) == 1 else "[/?#]"  # what follows could belong to the host
        match = re.match(rf"wss?://[^/?#]+(?={end})", literal)
        return parse_url(match[0]) if match else None

    @property
    def parameter_names(self) -> set[str]:
        """Return the names of the query parameters that are known before a call, with that of `auth`."""
        auth = self.template.auth
        in_query = isinstance(auth, ApiKeyAuth) and auth.location == "query"
        return self.url.parameter_names | ({auth.var_name} if isinstance(auth, ApiKeyAuth) and in_query else set())

    def placeholders_by_field(self) -> Iterator[tuple[str, Sequence[Placeholder]]]:
        """Yield each field, and what is filled in for each call."""
        yield "url", self.url.placeholders
        parameters = self.url.query.parameters if self.url.query is not None else ()
        yield from ((join_path("query", each.name), each.placeholders) for each in parameters)
        yield from ((f"headers.{name}", _placeholders(parts)) for name, parts in self.headers)
        yield from (("protocol", _placeholders(parts)) for parts in self.subprotocols)

    @cached_property
    def placeholders(self) -> list[Placeholder]:
        """Return what is filled in for each call."""
        return [each for _, placeholders in self.placeholders_by_field() for each in placeholders]

    @cached_property
    def needs_session(self) -> bool:
        """Return whether only `before_connect` can complete the handshake."""
        return any(
            isinstance(each, ExpressionValue) and "session" in each.expression.names for each in self.placeholders
        )

    def _deferred_request(self, given: Mapping[str, Any]) -> HandshakeRequest:
        """Return the request before `before_connect` ran; its key has the template as written, and the arguments."""
        used = set(self.template.header_fields).union(*(each.arguments for each in self.placeholders))
        rules = self.connection_rules
        template = self.template
        source = (written_url(template), template.headers, template.protocol, template.header_fields)
        arguments, login = (
            encode_json([*source, _select(given, names | used)]) for names in (rules.arguments, rules.login_arguments)
        )
        key = self._key(None, (), (), arguments, login)
        return HandshakeRequest(key, None, (), (), self.template, deferred=self)

    def _key(
        self,
        url: URL | None,
        headers: tuple[tuple[str, str], ...],
        subprotocols: tuple[str, ...],
        arguments: str,
        login: str,
    ) -> ConnectionKey:
        settings = tuple(getattr(self.template, name) for name in CONNECTION_SETTINGS)
        rules, folder = self.connection_rules, self.folder
        return ConnectionKey(self.manual, url, headers, subprotocols, rules, arguments, settings, folder, login)

    def _render_headers(self, scope: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """Return the headers; an argument named in `header_fields` replaces a header of the same name."""
        arguments = scope["args"]
        fields = {name: to_text(arguments[name]) for name in self.template.header_fields if name in arguments}
        overridden = {name.lower() for name in fields}
        own = [(name, parts) for name, parts in self.headers if name.lower() not in overridden]
        rendered = [(name, render_header(parts, scope)) for name, parts in own]
        headers = [(name, value) for name, value in rendered if value is not None]
        for name, value in headers:
            check_header(name, value, may_set_host=True)  # compiling refuses it where the network wrote it
        for name, value in fields.items():
            check_header(name, value)
        return (*headers, *fields.items())


def written_url(template: CallTemplate) -> Any:
    """Return the URL of a call template as it is written, with its parameters where it has any."""
    return [template.url, template.query] if template.query else template.url


def _placeholders(parts: Parts) -> tuple[Placeholder, ...]:
    return tuple(part for part in parts if not isinstance(part, str))


def _as_text(arguments: dict[str, Any]) -> str:
    return encode_json(arguments) if arguments else ""


def _select(given: Mapping[str, Any], names: frozenset[str] | set[str]) -> dict[str, Any]:
    """Return the named arguments that were given, sorted by name; all of them where a template takes all."""
    return {name: given[name] for name in sorted(given if ALL_MEMBERS in names else names) if name in given}
