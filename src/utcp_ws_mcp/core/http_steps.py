"""Compile steps that send an HTTP request: before a connection opens, in its login, or before the message of a call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from ..errors import ForbiddenURL
from ..manifest.models.auth import OAuth2Auth
from ..manifest.models.call_template import CallTemplate
from ..manifest.models.connection import HttpRequestTemplate, HttpStep, Step
from ..manifest.models.network import Network
from ..records import Record, replace
from .captures import Captures, compile_captures, optional_values
from .diagnostics import Diagnostics
from .expressions.expression import Expression, compile_expression
from .header_policy import check_written_header
from .network_policy import parse_http_url, parse_url
from .templates.compiler import Compiler
from .templates.nodes import Node, Placeholder
from .url_template import UrlTemplate, compile_url, session_values_from_arguments, with_query

RESPONSE_NAMES: Final = frozenset({"body", "cookies", "headers", "status"})
"""Names in the `capture`, `fail` and `fail_message` of a step, beside those of its request."""

DEFAULT_FAIL: Final = "status >= 300"

Server = tuple[str, int]
"""A host and its port."""


class StepCodes(Record):
    """The codes of a failed step, and of a captured value that is missing."""

    failed: str
    found_nothing: str


STEP_CODES: Final = StepCodes("http-step-failed", "capture-found-nothing")


class CompiledHttpStep(Record):
    """A compiled step that sends an HTTP request. `timeout` in seconds.

    Args:
        headers: Names, and the literal text and placeholders of each value.
        servers: Those that the manifest writes: a URL that the endpoint returned may lead to no other, because the
            request may carry a credential.
        optional: The names of captured values that may be missing.
    """

    not_in_repr: ClassVar = ("headers", "json", "form")
    method: str
    url: UrlTemplate
    headers: tuple[tuple[str, tuple[str | Placeholder, ...]], ...]
    json: Node | None
    form: Node | None
    when: Expression | None
    captures: Captures
    optional: frozenset[str]
    fail: Expression
    fail_message: Expression | None
    timeout: float
    servers: frozenset[Server]
    allocates_request_id: bool = False


class HttpStepCompiler:
    """Compiles the HTTP steps of one call template.

    Args:
        template: The call template with everything that it inherits.
        diagnostics: Collects what is wrong.
    """

    def __init__(self, template: CallTemplate, diagnostics: Diagnostics) -> None:
        self._template = template
        self._diagnostics = diagnostics
        self._tainted = session_values_from_arguments(template)
        self._optional: dict[str, frozenset[str]] = {}

    def optional(self, owner: str) -> frozenset[str]:
        """Return the names of the captured values of `owner` that may be missing."""
        if owner not in self._optional:
            self._optional[owner] = optional_values(self._template, owner)
        return self._optional[owner]

    def compile_step(
        self, step: HttpStep | Step, compiler: Compiler, path: str, owner: str = "session"
    ) -> CompiledHttpStep:
        """Compile a step.

        Args:
            step: The step.
            compiler: Has the names that its request may use.
            path: Where the step is, such as `before_connect[0]`.
            owner: What its captured values become members of.
        """
        http, collect = step.http, self._diagnostics.collect
        assert http is not None
        names = compiler.names | RESPONSE_NAMES
        url = self._url(http, compiler, path)
        with collect(f"{path}.http"):
            _check_is_local(compiler)
        nodes: dict[str, Node | None] = {"json": None, "form": None}
        for key, value in (("json", http.json_body), ("form", http.form)):
            if value is not None:
                with collect(f"{path}.http.{key}"):
                    nodes[key] = compiler.value(value)
        expressions: dict[str, Expression | None] = {}
        for key, used in (("when", compiler.names), ("fail", names), ("fail_message", names)):
            expressions[key] = None
            if (source := getattr(step, key)) is not None:
                with collect(f"{path}.{key}"):
                    expressions[key] = compile_expression(source, used, local=compiler.is_local)
        return CompiledHttpStep(
            http.method.upper(),
            url,
            tuple(self._headers(http.headers, compiler, path)),
            nodes["json"],
            nodes["form"],
            expressions["when"],
            compile_captures(step.capture, replace(compiler, names=names), self._diagnostics, path),
            self.optional(owner),
            expressions["fail"] or compile_expression(DEFAULT_FAIL, names),
            expressions["fail_message"],
            step.timeout,
            frozenset(_written_servers(self._template, compiler)),
            isinstance(step, Step) and step.request_id,
        )

    def _url(self, http: HttpRequestTemplate, compiler: Compiler, path: str) -> UrlTemplate:
        url, network = UrlTemplate(), self._template.network
        with self._diagnostics.collect(f"{path}.http.url"):
            url = compile_url(http.url, compiler, self._tainted)
            _check_url(url, network)
        url = with_query(url, http.query, compiler, self._diagnostics, f"{path}.http.query")
        with self._diagnostics.collect(f"{path}.http.query"):
            if url.query is not None and url.parts and url.is_constant:
                parse_http_url(url.render({"args": {}}), network)
        return url

    def _headers(
        self, headers: dict[str, str], compiler: Compiler, path: str
    ) -> Iterator[tuple[str, tuple[str | Placeholder, ...]]]:
        for name, value in headers.items():
            with self._diagnostics.collect(f"{path}.http.headers.{name}"):
                parts = tuple(compiler.parts(value))
                check_written_header(name, _constant_text(parts), local=compiler.is_local)
                yield name, parts


def _check_is_local(compiler: Compiler) -> None:
    if not compiler.is_local:
        raise ForbiddenURL(
            "a discovered tool cannot send HTTP requests. Write the step into the manifest.", code="origin-not-allowed"
        )


def _check_url(url: UrlTemplate, network: Network) -> None:
    """Check what no call changes of a URL: all of it, or its server."""
    if not url.placeholders:
        parse_http_url("".join(map(str, url.parts)), network)
    elif not url.begins_with_value and isinstance(first := url.parts[0], str):
        server = re.match(r"[^/?#]*//[^/?#]*", first)
        if server and len(server[0]) < len(first):
            parse_http_url(server[0], network)


def _constant_text(parts: tuple[str | Placeholder, ...]) -> str | None:
    return "".join(map(str, parts)) if all(isinstance(part, str) for part in parts) else None


def _written_servers(template: CallTemplate, compiler: Compiler) -> Iterator[Server]:
    texts = [template.url, *(step.http.url for step in (*template.before_connect, *template.before_message))]
    texts += [step.http.url for step in template.on_connect if step.http is not None]
    if isinstance(template.auth, OAuth2Auth):
        texts.append(template.auth.token_url)
    for text in texts:
        # Only the beginning: the rest of the URL may use names that another field has.
        server = re.match(r"[a-z]+://[^/?#]+", text)
        parts = compiler.parts(server[0]) if server else []
        if len(parts) == 1 and isinstance(parts[0], str):
            try:
                url = parse_url(parts[0], ("ws", "wss", "http", "https"))
            except ForbiddenURL:
                continue  # reported where it is written
            yield url.host, url.port
