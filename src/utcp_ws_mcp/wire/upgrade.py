"""The upgrade request (RFC 6455 §4.1) that a call needs, rendered from its call template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from ..errors import ForbiddenURL, InvalidTemplate
from ..manifest.auth import ApiKeyAuth, BasicAuth, Credentials, OAuth2Auth, credentials
from ..manifest.models import CallTemplate, Limits, Network, Tls
from .policy import URL, check_header, check_network, check_scheme, check_subprotocol, parse_url
from .scope import URL_NAMES
from .template import OMIT, Compiler, Computed, Hole, Unfilled, to_text


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where each field of a call template came from: `remote` names those that came over the network.

    Only fields of the local manifest may use `values`, its variables.
    """

    values: Mapping[str, str] = field(repr=False)
    remote: frozenset[str] = frozenset()

    def is_local(self, key: str) -> bool:
        """Whether the local manifest wrote this field."""
        return key not in self.remote

    def variables(self, key: str) -> Mapping[str, str] | None:
        """The variables for the templates in this field, or None where it has none."""
        return self.values if self.is_local(key) else None


@dataclass(frozen=True)
class Upgrade:
    """Everything that calls must agree on to share a connection, and all that opening it needs."""

    manual: str
    url: URL
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    subprotocols: tuple[str, ...]
    auth: ApiKeyAuth | BasicAuth | OAuth2Auth | None = field(repr=False)
    network: Network
    tls: Tls
    limits: Limits
    id_kind: Any
    keep_alive: bool
    folder: PurePath

    def __post_init__(self) -> None:
        values = (self.manual, self.url, self.headers, self.subprotocols, self.id_kind, self.keep_alive)
        object.__setattr__(self, "_hash", hash(values))

    def __hash__(self) -> int:
        return self._hash  # type: ignore[attr-defined, no-any-return]  # set in __post_init__

    def request(self, token: str | None = None) -> tuple[str, tuple[tuple[str, str], ...]]:
        """The request's target and its headers, credentials included; `token` is the OAuth2 token.

        Raises:
            ForbiddenHeader: where a header, or a credential that goes into one, may not be sent.
        """
        extra: Credentials = credentials(self.auth, token)
        headers = (*self.headers, *extra.headers)
        for name, value in headers:
            check_header(name, value)
        pairs = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in extra.query]
        query = "&".join(([self.url.query] if self.url.query else []) + pairs)
        return (f"{self.url.path}?{query}" if query else self.url.path), headers


@dataclass(frozen=True, slots=True)
class UpgradeTemplate:
    """The compiled `url`, `headers` and `protocol` of a call template. `constant` is set where no call changes them."""

    manual: str
    template: CallTemplate
    folder: PurePath
    url: tuple[str | Hole, ...]
    headers: tuple[tuple[str, tuple[str | Hole, ...]], ...]
    subprotocols: tuple[tuple[str | Hole, ...], ...]
    constant: Upgrade | None = None

    def render(self, scope: Mapping[str, Any]) -> Upgrade:
        """The upgrade for a call with these values.

        Raises:
            Unfilled: where an argument is missing.
            PolicyError: where the URL or a header may not be used.
        """
        if self.constant is not None:
            return self.constant
        url = parse_url("".join(_in_url(part, scope) for part in self.url))
        check_scheme(url, self.template.network)
        headers = [(name, "".join(_as_text(part, scope) for part in parts)) for name, parts in self.headers]
        arguments = scope["args"]
        headers += [(name, to_text(arguments[name])) for name in self.template.header_fields if name in arguments]
        for name, value in headers:
            check_header(name, value)
        subprotocols = tuple("".join(_as_text(part, scope) for part in parts) for parts in self.subprotocols)
        for subprotocol in subprotocols:
            check_subprotocol(subprotocol)
        return self._upgrade(url, tuple(headers), subprotocols)

    def _upgrade(self, url: URL, headers: tuple[tuple[str, str], ...], subprotocols: tuple[str, ...]) -> Upgrade:
        template = self.template
        return Upgrade(
            manual=self.manual,
            url=url,
            headers=headers,
            subprotocols=subprotocols,
            auth=template.auth,
            network=template.network,
            tls=template.tls,
            limits=template.limits,
            id_kind=template.request_id,
            keep_alive=template.keep_alive,
            folder=self.folder,
        )


def compile_upgrade(manual: str, template: CallTemplate, origin: Provenance, folder: PurePath) -> UpgradeTemplate:
    """Compile; what no call can change is checked at once.

    Raises:
        InvalidTemplate, ForbiddenURL, ForbiddenHeader: where the template can never be used.
    """

    def parts(key: str, text: str) -> tuple[str | Hole, ...]:
        return tuple(Compiler(origin.variables(key), names=URL_NAMES).parts(text))

    compiled = UpgradeTemplate(
        manual=manual,
        template=template,
        folder=folder,
        url=parts("url", template.url),
        headers=tuple((name, parts("headers", value)) for name, value in template.headers.items()),
        subprotocols=tuple(parts("protocol", name) for name in template.protocol),
    )
    if wrong := check_network(template.network):
        raise InvalidTemplate(f"network.allow: {wrong}")
    for name in template.header_fields:
        check_header(name, "checked-with-each-call")
    _check_url_holes(compiled.url, local=origin.is_local("url"))
    holes = [part for parts in (compiled.url, *_all_parts(compiled)) for part in parts if not isinstance(part, str)]
    return compiled if holes or template.header_fields else replace(compiled, constant=compiled.render({"args": {}}))


def _all_parts(compiled: UpgradeTemplate) -> list[tuple[str | Hole, ...]]:
    return [parts for _, parts in compiled.headers] + list(compiled.subprotocols)


def _check_url_holes(parts: tuple[str | Hole, ...], *, local: bool) -> None:
    """An argument may stand behind the host only; other holes may not come from the network at all."""
    before = ""
    for part in parts:
        if isinstance(part, str):
            before += part
        elif not local and isinstance(part, Computed):
            raise ForbiddenURL("expressions in a URL are for local manifests")
        elif _is_argument(part) and not re.match(r"wss?://[^/?#]+[/?#]", before):
            raise ForbiddenURL("an argument cannot stand in the scheme, host or port of a URL")


def _is_argument(hole: Hole) -> bool:
    return not isinstance(hole, Computed) or "args" in hole.expression.names


def _as_text(part: str | Hole, scope: Mapping[str, Any]) -> str:
    if isinstance(part, str):
        return part
    value = part.value(scope)
    if value is OMIT:
        raise Unfilled(str(part))
    return to_text(value)


def _in_url(part: str | Hole, scope: Mapping[str, Any]) -> str:
    text = _as_text(part, scope)
    if isinstance(part, str) or not _is_argument(part):
        return text
    if text in (".", ".."):
        raise Unfilled(f"an argument in the URL cannot be {text!r}")
    return quote(text, safe="")
