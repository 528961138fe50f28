"""Compile the opening handshake of a call template, and check what no call can change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from ..errors import ForbiddenHeader, ForbiddenURL, InvalidTemplate
from ..manifest.models.auth import OAuth2Auth
from ..manifest.models.call_template import CallTemplate
from .connection_rules import ConnectionRules
from .diagnostics import Diagnostics
from .expressions.scope import URL_NAMES
from .handshake_request import HandshakeTemplate, Parts
from .network_policy import (
    check_header,
    check_network,
    check_proxy,
    check_scheme,
    check_subprotocol,
    parse_http_url,
    parse_url,
)
from .templates.compiler import Compiler
from .templates.nodes import ExpressionValue

_VALUE_PER_CALL = "checked-with-each-call"
"""A valid value, so that the name of a header can be checked before its value is known."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where each field of a call template came from.

    Args:
        values: The variables of the local manifest; only the fields that it wrote may use them.
        remote: The names of the fields that came over the network.
    """

    values: Mapping[str, str] = field(repr=False)
    remote: frozenset[str] = frozenset()

    def is_local(self, key: str) -> bool:
        """Return whether the local manifest wrote this field."""
        return key not in self.remote

    def variables(self, key: str) -> Mapping[str, str] | None:
        """Return the variables for the templates in this field, or None where it may use none."""
        return self.values if self.is_local(key) else None


def compile_handshake(
    manual: str,
    template: CallTemplate,
    connection_rules: ConnectionRules,
    provenance: Provenance,
    folder: PurePath,
    diagnostics: Diagnostics,
) -> HandshakeTemplate:
    """Compile the handshake of a call template. What no call can change is checked at once.

    Args:
        manual: The name of the manual.
        template: The call template with everything that it inherits.
        connection_rules: What the connection does by itself, compiled from the same template.
        provenance: Which fields may use variables.
        folder: Where relative paths of certificates start.
        diagnostics: Collects what is wrong.
    """
    url: Parts = ()
    headers: list[tuple[str, Parts]] = []
    subprotocols: list[Parts] = []
    with diagnostics.collect("url"):
        url = _compile_parts("url", template.url, provenance)
        _check_url_placeholders(url, local=provenance.is_local("url"))
    for name, value in template.headers.items():
        with diagnostics.collect(f"headers.{name}"):
            headers.append((name, _compile_parts("headers", value, provenance)))
            check_written_header(name, headers[-1][1], local=provenance.is_local("headers"))
    for name in template.header_fields:
        with diagnostics.collect("header_fields"):
            check_header(name, _VALUE_PER_CALL)
    for name in template.protocol:
        with diagnostics.collect("protocol"):
            subprotocols.append(_compile_parts("protocol", name, provenance))
            if all(isinstance(part, str) for part in subprotocols[-1]):
                check_subprotocol("".join(map(str, subprotocols[-1])))
    _check_settings(template, diagnostics)
    compiled = HandshakeTemplate(manual, template, folder, connection_rules, url, tuple(headers), tuple(subprotocols))
    if compiled.placeholders or template.header_fields or connection_rules.arguments or diagnostics.problems:
        return compiled
    return _with_constant(compiled, diagnostics)


def check_written_header(name: str, parts: Parts, *, local: bool) -> None:
    """Check what no call can change of a header. `Host` decides which site answers: no call may change it at all.

    Raises:
        ForbiddenHeader: where the header may not be set.
    """
    constant = all(isinstance(part, str) for part in parts)
    if name.lower() == "host" and local and not constant:
        raise ForbiddenHeader(name, "the value contains a placeholder. Write the host, or a variable ${NAME}.")
    value = "".join(map(str, parts)) if name.lower() == "host" else _VALUE_PER_CALL
    check_header(name, value, may_set_host=local)


def _check_constant_url(compiled: HandshakeTemplate) -> None:
    """Check a URL that no call changes.

    Raises:
        ForbiddenURL: where it may not be used.
    """
    check_scheme(parse_url("".join(map(str, compiled.url))), compiled.template.network)


def _with_constant(compiled: HandshakeTemplate, diagnostics: Diagnostics) -> HandshakeTemplate:
    """Render a handshake that no call changes once, for all calls."""
    with diagnostics.collect("url"):
        _check_constant_url(compiled)
    for name, parts in compiled.headers:
        with diagnostics.collect(f"headers.{name}"):
            check_header(name, "".join(map(str, parts)), may_set_host=True)
    return compiled if diagnostics.problems else replace(compiled, constant=compiled.render({"args": {}}))


def _compile_parts(key: str, text: str, provenance: Provenance) -> Parts:
    return tuple(Compiler(provenance.variables(key), names=URL_NAMES).parts(text))


def _check_settings(template: CallTemplate, diagnostics: Diagnostics) -> None:
    with diagnostics.collect("network.allow"):
        if problem := check_network(template.network):
            raise InvalidTemplate(problem, code="invalid-value")
    if template.proxy is not None:
        with diagnostics.collect("proxy"):
            check_proxy(template.proxy)
    if isinstance(template.auth, OAuth2Auth):
        with diagnostics.collect("auth.token_url"):
            parse_http_url(template.auth.token_url)


def _check_url_placeholders(parts: Parts, *, local: bool) -> None:
    """Refuse an argument before the path, and any other placeholder in a URL from the network."""
    before = ""
    for part in parts:
        if isinstance(part, str):
            before += part
        elif not local and isinstance(part, ExpressionValue):
            raise ForbiddenURL(
                "a discovered tool cannot have an expression in its URL. Write the tool into the manifest.",
                code="origin-not-allowed",
            )
        elif not part.arguments:
            before += "wss://host/" if not before else "x"
        elif not re.match(r"wss?://[^/?#]+[/?#]", before):
            raise ForbiddenURL(
                "an argument is in the scheme, host or port of the URL. Arguments are allowed in the path and query.",
                code="argument-in-host",
            )
