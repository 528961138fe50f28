"""The upgrade request (RFC 6455 §4.1) that a call needs, rendered from its call template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from ..errors import ForbiddenURL, InvalidTemplate
from ..manifest.models.auth import OAuth2Auth, credentials_for
from ..manifest.models.call_template import CallTemplate
from .codecs.message import encode_json
from .connection_rules import ALL_ARGUMENTS, ConnectionRules, find_arguments
from .diagnostics import Diagnostics
from .expressions.scope import URL_NAMES
from .network_policy import URL, check_header, check_network, check_scheme, check_subprotocol, parse_url
from .provenance import Provenance
from .requests import check_proxy, parse_http_url
from .templates.compiler import Compiler
from .templates.nodes import OMIT, ExpressionValue, Placeholder, RenderError, to_text

Parts = tuple[str | Placeholder, ...]
"""Literal text and holes in turn."""


@dataclass(frozen=True)
class HandshakeRequest:
    """Everything that calls must agree on to share a connection, and all that opening it needs.

    `arguments` holds those that the connection itself depends on. Where the URL, a header or a subprotocol needs what
    only `before_connect` brings, `later` is the template that is rendered then, `url` is None until it is, and
    `arguments` holds the template as it was written, too.
    """

    manual: str
    url: URL | None
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    subprotocols: tuple[str, ...]
    connection_rules: ConnectionRules = field(repr=False)
    arguments: str = field(repr=False)
    template: CallTemplate = field(repr=False, compare=False)
    folder: PurePath
    deferred: HandshakeTemplate | None = field(default=None, repr=False, compare=False)
    settings_key: tuple[object, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        template = self.template
        settings = (template.auth, template.network, template.tls, template.limits, template.proxy)
        object.__setattr__(self, "shared", (*settings, template.request_id, template.keep_alive))
        values = (self.manual, self.url, self.headers, self.subprotocols, self.connection_rules, self.arguments)
        object.__setattr__(self, "_hash", hash(values))

    def __hash__(self) -> int:
        return self._hash  # type: ignore[attr-defined, no-any-return]  # set in __post_init__

    @property
    def address(self) -> str:
        """What errors and logs call the endpoint."""
        return self.url.address if self.url else f"the endpoint of {self.manual}"

    def same_server_as(self, url: URL) -> bool:
        """Whether the endpoint is the server of this URL, as far as that is known before `before_connect`."""
        own = self.url or (self.deferred.server if self.deferred else None)
        return own is not None and (own.host, own.port) == (url.host, url.port)

    def target(self) -> str:
        """The request's target with a credential that goes into the query."""
        assert self.url is not None
        extra = credentials_for(self.template.auth).query
        pairs = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in extra]
        query = "&".join(([self.url.query] if self.url.query else []) + pairs)
        return f"{self.url.path}?{query}" if query else self.url.path

    def headers_with_auth(self, token: str | None = None) -> tuple[tuple[str, str], ...]:
        """The headers of the upgrade with credentials; `token` is the OAuth2 token.

        Raises:
            ForbiddenHeader: where a header, or a credential that goes into one, may not be sent.
        """
        headers = (*self.headers, *credentials_for(self.template.auth, token).headers)
        for name, value in headers:
            check_header(name, value)
        return headers


@dataclass(frozen=True, slots=True)
class HandshakeTemplate:
    """The compiled `url`, `headers` and `protocol` of a call template. `constant` is set where no call changes them."""

    manual: str
    template: CallTemplate
    folder: PurePath
    connection_rules: ConnectionRules
    url: Parts = field(repr=False)
    headers: tuple[tuple[str, Parts], ...] = field(repr=False)
    subprotocols: tuple[Parts, ...] = field(repr=False)
    constant: HandshakeRequest | None = None

    def render(self, scope: Mapping[str, Any]) -> HandshakeRequest:
        """The upgrade for a call with these values.

        Raises:
            Unfilled: where an argument is missing.
            PolicyError: where the URL or a header may not be used.
        """
        if self.constant is not None:
            return self.constant
        needed = self.connection_rules.arguments
        if self._needs_session:
            needed = needed.union(self.template.header_fields, *map(_arguments_used_by, self.placeholders))
        given = scope["args"]
        names = given if ALL_ARGUMENTS in needed else needed
        arguments = {name: given[name] for name in sorted(names) if name in given}
        if self._needs_session:
            written = (self.template.url, self.template.headers, self.template.protocol, self.template.header_fields)
            return self._build_request(None, (), (), encode_json([*written, arguments]), deferred=self)
        url, headers, subprotocols = self.render_parts(scope)
        return self._build_request(url, headers, subprotocols, encode_json(arguments) if arguments else "")

    def render_parts(self, scope: Mapping[str, Any]) -> tuple[URL, tuple[tuple[str, str], ...], tuple[str, ...]]:
        """The URL, the headers and the subprotocols with these values, all of them checked."""
        text = ""
        for part in self.url:
            text += _render_url_part(part, scope)
        if any(not isinstance(part, str) and _uses_arguments(part) for part in self.url):
            self._check_path_segments(text)
        url = parse_url(text)
        check_scheme(url, self.template.network)
        arguments = scope["args"]
        own = {name: to_text(arguments[name]) for name in self.template.header_fields if name in arguments}
        taken = {name.lower() for name in own}
        fixed = [(name, parts) for name, parts in self.headers if name.lower() not in taken]
        headers = [(name, "".join(_render_text(part, scope) for part in parts)) for name, parts in fixed]
        headers += own.items()
        for name, value in headers:
            check_header(name, value)
        subprotocols = tuple("".join(_render_text(part, scope) for part in parts) for parts in self.subprotocols)
        for subprotocol in subprotocols:
            check_subprotocol(subprotocol)
        return url, tuple(headers), subprotocols

    @property
    def server(self) -> URL | None:
        """The URL without its path, where its host is written out."""
        written = self.url[0] if self.url and isinstance(self.url[0], str) else ""
        found = re.match(r"wss?://[^/?#]+(?=[/?#])", written)
        return parse_url(found[0]) if found else None

    def _check_path_segments(self, text: str) -> None:
        """An argument may not make a segment `.` or `..`, alone or with what stands beside it."""
        written = "".join(part if isinstance(part, str) else "x" for part in self.url)
        if _count_dot_segments(text) > _count_dot_segments(written):
            raise RenderError(
                "an argument in the URL cannot be '.' or '..', nor make a segment of its path one of them"
            )

    @property
    def placeholders(self) -> list[Placeholder]:
        """What is filled in with each call."""
        parts = (self.url, *(parts for _, parts in self.headers), *self.subprotocols)
        return [part for listed in parts for part in listed if not isinstance(part, str)]

    @property
    def _needs_session(self) -> bool:
        return any(
            isinstance(hole, ExpressionValue) and "session" in hole.expression.names for hole in self.placeholders
        )

    def _build_request(
        self,
        url: URL | None,
        headers: tuple[tuple[str, str], ...],
        subprotocols: tuple[str, ...],
        arguments: str,
        deferred: HandshakeTemplate | None = None,
    ) -> HandshakeRequest:
        return HandshakeRequest(
            manual=self.manual,
            url=url,
            headers=headers,
            subprotocols=subprotocols,
            connection_rules=self.connection_rules,
            arguments=arguments,
            template=self.template,
            folder=self.folder,
            deferred=deferred,
        )


def compile_handshake(
    manual: str,
    template: CallTemplate,
    connection_rules: ConnectionRules,
    provenance: Provenance,
    folder: PurePath,
    diagnostics: Diagnostics,
) -> HandshakeTemplate:
    """Compile; what no call can change is checked at once, and what is wrong is noted in `found`."""

    def parts(key: str, text: str) -> Parts:
        return tuple(Compiler(provenance.variables(key), names=URL_NAMES).parts(text))

    url: Parts = ()
    headers: list[tuple[str, Parts]] = []
    subprotocols: list[Parts] = []
    with diagnostics.collect("url"):
        url = parts("url", template.url)
        _check_url_placeholders(url, local=provenance.is_local("url"))
    for name, value in template.headers.items():
        with diagnostics.collect(f"headers.{name}"):
            headers.append((name, parts("headers", value)))
            check_header(name, "checked-with-each-call")
    for name in template.header_fields:
        with diagnostics.collect("header_fields"):
            check_header(name, "checked-with-each-call")
    for name in template.protocol:
        with diagnostics.collect("protocol"):
            subprotocols.append(parts("protocol", name))
            if all(isinstance(part, str) for part in subprotocols[-1]):
                check_subprotocol("".join(map(str, subprotocols[-1])))
    _check_settings(template, diagnostics)
    compiled = HandshakeTemplate(manual, template, folder, connection_rules, url, tuple(headers), tuple(subprotocols))
    if compiled.placeholders or template.header_fields or connection_rules.arguments or diagnostics.problems:
        return compiled
    with diagnostics.collect("url"):
        check_constant_url(compiled)
    constants = [(f"headers.{name}", name, "".join(map(str, value))) for name, value in headers]
    for key, name, value in constants:
        with diagnostics.collect(key):
            check_header(name, value)
    return compiled if diagnostics.problems else replace(compiled, constant=compiled.render({"args": {}}))


def _check_settings(template: CallTemplate, diagnostics: Diagnostics) -> None:
    with diagnostics.collect("network.allow"):
        if wrong := check_network(template.network):
            raise InvalidTemplate(wrong)
    if template.proxy is not None:
        with diagnostics.collect("proxy"):
            check_proxy(template.proxy)
    if isinstance(template.auth, OAuth2Auth):
        with diagnostics.collect("auth.token_url"):
            parse_http_url(template.auth.token_url)


def check_constant_url(compiled: HandshakeTemplate) -> None:
    """Raise what is wrong with a URL that no call changes."""
    check_scheme(parse_url("".join(map(str, compiled.url))), compiled.template.network)


def _check_url_placeholders(parts: Parts, *, local: bool) -> None:
    """An argument may stand behind the host only; other holes may not come from the network at all."""
    before = ""
    for part in parts:
        if isinstance(part, str):
            before += part
        elif not local and isinstance(part, ExpressionValue):
            raise ForbiddenURL("expressions in a URL are for local manifests")
        elif not _uses_arguments(part):
            before += "wss://host/" if not before else "x"
        elif not re.match(r"wss?://[^/?#]+[/?#]", before):
            raise ForbiddenURL("an argument cannot stand in the scheme, host or port of a URL")


def _arguments_used_by(placeholder: Placeholder) -> set[str]:
    """The arguments that a hole needs."""
    if not isinstance(placeholder, ExpressionValue):
        return {placeholder.name}
    return set(find_arguments(placeholder.expression.source))


def _uses_arguments(placeholder: Placeholder) -> bool:
    return not isinstance(placeholder, ExpressionValue) or "args" in placeholder.expression.names


def _render_text(part: str | Placeholder, scope: Mapping[str, Any]) -> str:
    if isinstance(part, str):
        return part
    value = part.value(scope)
    if value is OMIT:
        raise RenderError(str(part))
    return to_text(value)


def _render_url_part(part: str | Placeholder, scope: Mapping[str, Any]) -> str:
    text = _render_text(part, scope)
    return text if isinstance(part, str) or not _uses_arguments(part) else quote(text, safe="")


def _count_dot_segments(url: str) -> int:
    """How many segments of a URL's path lead to where they stand, or above it."""
    return sum(segment in (".", "..") for segment in url.partition("?")[0].split("/"))
