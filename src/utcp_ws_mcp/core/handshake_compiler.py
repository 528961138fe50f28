"""Compile the opening handshake of a call template, and check what no call can change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import ClassVar

from ..errors import InvalidTemplate
from ..manifest.models.auth import OAuth2Auth
from ..manifest.models.call_template import CallTemplate
from ..records import Record, replace
from .connection_rules import ConnectionRules
from .diagnostics import Diagnostics
from .expressions.scope import URL_NAMES
from .handshake_request import HandshakeTemplate
from .header_policy import check_header, check_subprotocol, check_written_header
from .network_policy import check_network, check_scheme, parse_http_url, parse_url
from .templates.compiler import Compiler
from .templates.nodes import ExpressionValue
from .url_template import Parts, UrlTemplate, check_no_placeholders, compile_url, session_values_from_arguments


class Provenance(Record):
    """Where each field of a call template came from.

    Args:
        values: The variables of the local manifest; only the fields that it wrote may use them.
        remote: The names of the fields that came over the network.
    """

    not_in_repr: ClassVar = ("values",)
    values: Mapping[str, str]
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
    url = UrlTemplate()
    headers: list[tuple[str, Parts]] = []
    subprotocols: list[Parts] = []
    with diagnostics.collect("url"):
        url = compile_url(
            template.url,
            Compiler(provenance.variables("url"), names=URL_NAMES),
            session_values_from_arguments(template),
        )
    for name, value in template.headers.items():
        with diagnostics.collect(f"headers.{name}"):
            headers.append((name, _compile_parts("headers", value, provenance)))
            check_written_header(name, _constant_text(headers[-1][1]), local=provenance.is_local("headers"))
    for name in template.header_fields:
        with diagnostics.collect("header_fields"):
            check_written_header(name, None, local=False)
    for name in template.protocol:
        with diagnostics.collect("protocol"):
            subprotocols.append(_compile_parts("protocol", name, provenance))
            if all(isinstance(part, str) for part in subprotocols[-1]):
                check_subprotocol("".join(map(str, subprotocols[-1])))
    _check_settings(template, diagnostics)
    compiled = HandshakeTemplate(manual, template, folder, connection_rules, url, tuple(headers), tuple(subprotocols))
    for key, parts in compiled.parts_by_field():
        with diagnostics.collect(key):
            _check_tool_name(compiled, parts)
    if compiled.placeholders or template.header_fields or connection_rules.arguments or diagnostics.problems:
        return compiled
    return _with_constant(compiled, diagnostics)


def _check_tool_name(compiled: HandshakeTemplate, parts: Parts) -> None:
    """Refuse `tool` in a handshake that is rendered for all tools that share the connection."""
    uses_tool = any(isinstance(part, ExpressionValue) and "tool" in part.expression.names for part in parts)
    if uses_tool and compiled.needs_session:
        raise InvalidTemplate(
            "tool and session cannot be used together in the handshake: a connection that needs session is opened for "
            "all tools. Give the tool a tool_call_template of its own with its name as text.",
            code="unknown-name",
        )


def _check_constant_url(compiled: HandshakeTemplate) -> None:
    """Check a URL that no call changes.

    Raises:
        ForbiddenURL: where it may not be used.
    """
    check_scheme(parse_url("".join(map(str, compiled.url.parts))), compiled.template.network)


def _with_constant(compiled: HandshakeTemplate, diagnostics: Diagnostics) -> HandshakeTemplate:
    """Render a handshake that no call changes once, for all calls."""
    with diagnostics.collect("url"):
        _check_constant_url(compiled)
    for name, parts in compiled.headers:
        with diagnostics.collect(f"headers.{name}"):
            check_header(name, "".join(map(str, parts)), may_set_host=True)
    return compiled if diagnostics.problems else replace(compiled, constant=compiled.render({"args": {}}))


def _constant_text(parts: Parts) -> str | None:
    return "".join(map(str, parts)) if all(isinstance(part, str) for part in parts) else None


def _compile_parts(key: str, text: str, provenance: Provenance) -> Parts:
    return tuple(Compiler(provenance.variables(key), names=URL_NAMES).parts(text))


def _check_settings(template: CallTemplate, diagnostics: Diagnostics) -> None:
    with diagnostics.collect("network.allow"):
        if problem := check_network(template.network):
            raise InvalidTemplate(problem, code="invalid-value")
    if template.proxy is not None:
        with diagnostics.collect("proxy"):
            from .proxy import PROXY_FROM_ENV, parse_proxy  # few manifests have a proxy

            check_no_placeholders(template.proxy)
            if template.proxy != PROXY_FROM_ENV:
                parse_proxy(template.proxy)
    if isinstance(template.auth, OAuth2Auth):
        with diagnostics.collect("auth.token_url"):
            check_no_placeholders(template.auth.token_url)
            parse_http_url(template.auth.token_url, template.network)
