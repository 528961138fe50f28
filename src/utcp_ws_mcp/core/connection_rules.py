"""What a connection does by itself: login steps, captured values, automatic replies, the inbox, heartbeats."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ..manifest.models.call_template import CallTemplate
from ..manifest.models.connection import AutoReply, Framing, Heartbeat, HttpStep, InboxSettings, Step
from ..manifest.variables import MESSAGE_KEYS
from .diagnostics import Diagnostics
from .exchange.reply_rules import AutoReplies, compile_auto_replies
from .expressions.analysis import find_arguments
from .expressions.expression import Expression, compile_expression
from .expressions.scope import MESSAGE_NAMES, REQUEST_NAMES, URL_NAMES
from .network_policy import parse_http_url
from .templates.compiler import Compiler
from .templates.nodes import Constant, Node

HTTP_RESPONSE_NAMES = REQUEST_NAMES | {"body", "cookies", "headers", "status"}
"""Names in the `capture` and `fail` of a step of `before_connect`."""

_RULE_FIELDS: Final = {
    *("before_connect", "on_connect", "on_disconnect", "auto_reply", "capture"),
    *("inbox", "reconnect_when", "fail_when", "fail_message", "session_identity", "heartbeat", "framing", "send_as"),
}
"""The fields of a call template that this module compiles."""

Captures = tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class CompiledLoginStep:
    """A compiled step of `on_connect`: `send` or `expect`. `timeout` in seconds."""

    send: Node | None
    expect: Expression | None
    when: Expression | None
    captures: Captures
    fail: Expression | None
    fail_message: Expression | None
    timeout: float
    allocates_request_id: bool


@dataclass(frozen=True, slots=True)
class CompiledDisconnectMessage:
    """A compiled message of `on_disconnect`."""

    send: Node
    when: Expression | None


@dataclass(frozen=True, slots=True)
class CompiledHttpStep:
    """A compiled step of `before_connect`; a header or a form field is a template of its text."""

    method: str
    url: Node
    headers: tuple[tuple[str, Node], ...]
    json: Node | None
    form: Node | None
    captures: Captures
    fail: Expression
    fail_message: Expression | None
    timeout: float


@dataclass(frozen=True, slots=True)
class CompiledInbox:
    """Which messages are buffered while no call listens, and how many."""

    match: Expression
    size: int


@dataclass(frozen=True, slots=True)
class CompiledHeartbeat:
    """A compiled heartbeat; `every` is an expression that gives seconds."""

    every: Expression
    send: Node
    expect: Expression | None
    timeout: float


@dataclass(frozen=True, eq=False)
class ConnectionRules:
    """The compiled rules of a connection. Two are equal if they are written equally, with the same variables.

    `login` is what is written in `before_connect` and `on_connect`, and `login_arguments` are the arguments in it.
    """

    fingerprint: str
    before_connect: tuple[CompiledHttpStep, ...] = ()
    on_connect: tuple[CompiledLoginStep, ...] = ()
    on_disconnect: tuple[CompiledDisconnectMessage, ...] = ()
    captures: tuple[tuple[Expression, Captures], ...] = ()
    auto_replies: AutoReplies = ()
    inbox: CompiledInbox | None = None
    reconnect_when: Expression | None = None
    fail_when: Expression | None = None
    fail_message: Expression | None = None
    session_identity: Expression | None = None
    heartbeat: CompiledHeartbeat | None = None
    framing: Framing = field(default_factory=Framing)
    send_as: str | None = None
    arguments: frozenset[str] = frozenset()
    login: str = ""
    login_arguments: frozenset[str] = frozenset()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConnectionRules):
            return False
        return self.fingerprint == other.fingerprint and self.variables == other.variables

    def __hash__(self) -> int:
        return hash(self.fingerprint)


def compile_connection_rules(
    template: CallTemplate,
    compiler: Callable[[str], Compiler],
    auto_reply: tuple[AutoReply, ...],
    variables: Mapping[str, str],
    diagnostics: Diagnostics,
) -> ConnectionRules:
    """Compile what a call template says about its connections.

    Args:
        template: The call template with everything that it inherits.
        compiler: Returns the compiler for the templates of a field, as trusted as the source of that field.
        auto_reply: The automatic replies on the whole connection, not only for one tool.
        variables: The variables of the manifest.
        diagnostics: Collects what is wrong.
    """
    auto = template.model_copy(update={"auto_reply": auto_reply})
    written = auto.model_dump(mode="json", by_alias=True, include=_RULE_FIELDS)
    login = {key: written[key] for key in ("before_connect", "on_connect")}
    return ConnectionRules(
        # Templates hold lists and objects, which cannot be hashed: connections are compared by what is written.
        fingerprint=json.dumps(written, sort_keys=True),
        arguments=find_arguments(written, MESSAGE_KEYS),
        login=json.dumps(login, sort_keys=True),
        login_arguments=find_arguments(login, MESSAGE_KEYS),
        before_connect=tuple(
            _compile_http_step(step, compiler("before_connect"), diagnostics, index)
            for index, step in enumerate(template.before_connect)
        ),
        on_connect=tuple(
            _compile_step(step, compiler("on_connect"), diagnostics, index)
            for index, step in enumerate(template.on_connect)
        ),
        on_disconnect=_compile_disconnect_messages(template, compiler("on_disconnect"), diagnostics),
        captures=_compile_captures(template, compiler("capture"), diagnostics),
        auto_replies=compile_auto_replies(auto, compiler("auto_reply"), diagnostics),
        inbox=_compile_inbox(template.inbox, compiler("inbox"), diagnostics),
        reconnect_when=_compile_field(template, "reconnect_when", compiler, diagnostics),
        fail_when=_compile_field(template, "fail_when", compiler, diagnostics),
        fail_message=_compile_field(template, "fail_message", compiler, diagnostics),
        session_identity=_compile_field(template, "session_identity", compiler, diagnostics, URL_NAMES),
        heartbeat=_compile_heartbeat(template.heartbeat, compiler("heartbeat"), diagnostics),
        framing=template.framing,
        send_as=template.send_as,
        variables=variables,
    )


def _compile(source: str, compiler: Compiler, names: frozenset[str] = MESSAGE_NAMES) -> Expression:
    return compile_expression(source, names if compiler.is_local else names - {"vars"}, local=compiler.is_local)


_NULL = Compiler().value(None)


def _compile_step(step: Step, compiler: Compiler, diagnostics: Diagnostics, index: int) -> CompiledLoginStep:
    path = f"on_connect[{index}]"
    send, captures = None, []
    if step.send is not None:
        with diagnostics.collect(f"{path}.send"):
            send = compiler.message(step.send)
    for name, source in step.capture.items():
        with diagnostics.collect(f"{path}.capture.{name}"):
            captures.append((name, _compile(source, compiler)))
    parts: dict[str, Expression | None] = {}
    for key in ("expect", "when", "fail", "fail_message"):
        parts[key] = None
        if (predicate := getattr(step, key)) is not None:
            with diagnostics.collect(f"{path}.{key}"):
                parts[key] = _compile(predicate, compiler)
    return CompiledLoginStep(
        send, captures=tuple(captures), timeout=step.timeout, allocates_request_id=step.request_id, **parts
    )


def _compile_http_step(step: HttpStep, compiler: Compiler, diagnostics: Diagnostics, index: int) -> CompiledHttpStep:
    path = f"before_connect[{index}]"
    nodes: dict[str, Node] = {"url": _NULL, "json": _NULL, "form": _NULL}
    for key, value in (("url", step.http.url), ("json", step.http.json_body), ("form", step.http.form)):
        with diagnostics.collect(f"{path}.http.{key}"):
            nodes[key] = compiler.value(value)
            if key == "url" and isinstance(node := nodes[key], Constant):
                parse_http_url(str(node.value))
    headers = []
    for name, value in step.http.headers.items():
        with diagnostics.collect(f"{path}.http.headers.{name}"):
            headers.append((name, compiler.value(value)))
    captures, fail = [], compile_expression("false", HTTP_RESPONSE_NAMES)
    for name, source in step.capture.items():
        with diagnostics.collect(f"{path}.capture.{name}"):
            captures.append((name, _compile(source, compiler, HTTP_RESPONSE_NAMES)))
    with diagnostics.collect(f"{path}.fail"):
        fail = _compile(step.fail, compiler, HTTP_RESPONSE_NAMES)
    fail_message = None
    if step.fail_message is not None:
        with diagnostics.collect(f"{path}.fail_message"):
            fail_message = _compile(step.fail_message, compiler, HTTP_RESPONSE_NAMES)
    json_body = None if step.http.json_body is None else nodes["json"]
    form = None if step.http.form is None else nodes["form"]
    method = step.http.method.upper()
    rest = (tuple(captures), fail, fail_message, step.timeout)
    return CompiledHttpStep(method, nodes["url"], tuple(headers), json_body, form, *rest)


def _compile_disconnect_messages(
    template: CallTemplate, compiler: Compiler, diagnostics: Diagnostics
) -> tuple[CompiledDisconnectMessage, ...]:
    messages: list[CompiledDisconnectMessage] = []
    for index, message in enumerate(template.on_disconnect):
        with diagnostics.collect(f"on_disconnect[{index}]"):
            when = None if message.when is None else _compile(message.when, compiler)
            messages.append(CompiledDisconnectMessage(compiler.message(message.send), when))
    return tuple(messages)


def _compile_captures(
    template: CallTemplate, compiler: Compiler, diagnostics: Diagnostics
) -> tuple[tuple[Expression, Captures], ...]:
    rules = []
    for index, rule in enumerate(template.capture):
        with diagnostics.collect(f"capture[{index}]"):
            values = tuple((name, _compile(source, compiler)) for name, source in rule.set.items())
            rules.append((_compile(rule.match, compiler), values))
    return tuple(rules)


def _compile_inbox(inbox: InboxSettings | None, compiler: Compiler, diagnostics: Diagnostics) -> CompiledInbox | None:
    if inbox is None:
        return None
    with diagnostics.collect("inbox"):
        return CompiledInbox(_compile(inbox.match, compiler), inbox.size)
    return None


def _compile_field(
    template: CallTemplate,
    key: str,
    compiler: Callable[[str], Compiler],
    diagnostics: Diagnostics,
    names: frozenset[str] = MESSAGE_NAMES,
) -> Expression | None:
    """Return the expression of a field, or None where there is none or a wrong one."""
    source: str | None = getattr(template, key)
    if source is None:
        return None
    with diagnostics.collect(key):
        return _compile(source, compiler(key), names)
    return None


def _compile_heartbeat(
    heartbeat: Heartbeat | None, compiler: Compiler, diagnostics: Diagnostics
) -> CompiledHeartbeat | None:
    if heartbeat is None:
        return None
    with diagnostics.collect("heartbeat"):
        send = replace(compiler, names=REQUEST_NAMES).message(heartbeat.send)
        expect = None if heartbeat.expect is None else _compile(heartbeat.expect, compiler)
        return CompiledHeartbeat(_compile(str(heartbeat.every), compiler), send, expect, heartbeat.timeout)
    return None
