"""Compile the opening handshake of a call template, and check what no call can change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import ClassVar

from ..errors import InvalidTemplate
from ..manifest.models.auth import ApiKeyAuth, OAuth2Auth
from ..manifest.models.call_template import CallTemplate
from ..manifest.validation import join_path
from ..records import Record, replace
from .connection_rules import ConnectionRules
from .diagnostics import Diagnostics
from .expressions.scope import URL_NAMES
from .handshake_request import HandshakeTemplate
from .header_policy import check_header, check_subprotocol, check_written_header
from .network_policy import check_network, check_scheme, parse_http_url, parse_url
from .templates.compiler import Compiler
from .templates.nodes import ExpressionValue, Placeholder
from .url_template import (
    Parts,
    UrlTemplate,
    check_no_placeholders,
    compile_url,
    session_values_from_arguments,
    with_query,
)


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
    url = _compile_url(template, provenance, diagnostics)
    headers: list[tuple[str, Parts]] = []
    subprotocols: list[Parts] = []
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
    for key, placeholders in compiled.placeholders_by_field():
        with diagnostics.collect(key):
            _check_tool_name(compiled, placeholders)
    if compiled.placeholders or template.header_fields or connection_rules.arguments or diagnostics.problems:
        return compiled
    return _with_constant(compiled, diagnostics)


def _compile_url(template: CallTemplate, provenance: Provenance, diagnostics: Diagnostics) -> UrlTemplate:
    """Compile the URL with its query, and check what is written of it as literal text."""
    url = UrlTemplate()
    with diagnostics.collect("url"):
        compiler = Compiler(provenance.variables("url"), names=URL_NAMES)
        url = compile_url(template.url, compiler, session_values_from_arguments(template))
        if not url.placeholders:
            check_scheme(parse_url("".join(map(str, url.parts))), template.network)
    auth = template.auth
    if isinstance(auth, ApiKeyAuth) and auth.location == "query" and auth.var_name in template.query:
        message = f'"auth" adds the parameter {auth.var_name!r}, too. Remove it from one of them.'
        diagnostics.add(join_path("query", auth.var_name), message, "duplicate-parameter")
    compiler = Compiler(provenance.variables("query"), names=URL_NAMES)
    return with_query(url, template.query, compiler, diagnostics, "query")


def _check_tool_name(compiled: HandshakeTemplate, placeholders: Iterable[Placeholder]) -> None:
    """Refuse `tool` in a handshake that is rendered for all tools that share the connection."""
    uses_tool = any(isinstance(each, ExpressionValue) and "tool" in each.expression.names for each in placeholders)
    if uses_tool and compiled.needs_session:
        raise InvalidTemplate(
            "tool and session cannot be used together in the handshake: a connection that needs session is opened for "
            "all tools. Give the tool a tool_call_template of its own with its name as text.",
            code="unknown-name",
        )


def _with_constant(compiled: HandshakeTemplate, diagnostics: Diagnostics) -> HandshakeTemplate:
    """Render a handshake that no call changes once, for all calls."""
    with diagnostics.collect("query"):
        if compiled.url.query is not None:
            parse_url(compiled.url.render({"args": {}}))
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
