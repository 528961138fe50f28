"""What a connection does by itself: login steps, values that it keeps, messages that it answers, heartbeats."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..manifest.models.call_template import CallTemplate
from ..manifest.models.connection import AutoReply, Framing, Heartbeat, HttpStep, Inbox, Step
from .diagnostics import Problems
from .exchange.reply_rules import AutoReplies, compile_auto_replies
from .expressions.expression import Expression, compile_expression
from .expressions.scope import REPLY_NAMES, REQUEST_NAMES
from .requests import parse_http_url
from .templates.compiler import Compiler
from .templates.nodes import Constant, Node

HTTP_NAMES = REQUEST_NAMES | {"body", "cookies", "headers", "status"}
"""Names in the `capture` and `fail` of a step of `before_connect`."""

EVERY_ARGUMENT = "*"
"""Stands for all arguments, where a template takes them as a whole."""

_WHOLE_ARGS = re.compile(r"""\bargs\b(?![.\[]|":)""")
_ARGUMENT = re.compile(
    r"""\bargs\.([A-Za-z_]\w*)|\bargs\[(?:'|\\")(.{1,256}?)(?:'|\\")\]|UTCP_ARG_(.{1,256}?)_UTCP_ARG"""
)
"""An argument in the JSON text of a template, in each of the ways to write it."""

Captures = tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A compiled step of `on_connect`: `send` or `expect`. `timeout` in seconds."""

    send: Node | None
    expect: Expression | None
    when: Expression | None
    captures: Captures
    fail: Expression | None
    fail_message: Expression | None
    timeout: float
    takes_id: bool


@dataclass(frozen=True, slots=True)
class GoodbyePlan:
    """A compiled message of `on_disconnect`."""

    send: Node
    when: Expression | None


@dataclass(frozen=True, slots=True)
class HttpPlan:
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
class InboxPlan:
    """Which messages are kept while no call listens, and how many."""

    match: Expression
    size: int


@dataclass(frozen=True, slots=True)
class HeartbeatPlan:
    """A compiled heartbeat; `every` is an expression that gives seconds."""

    every: Expression
    send: Node
    expect: Expression | None
    timeout: float


@dataclass(frozen=True, eq=False)
class Conduct:
    """The compiled conduct of a connection. Two are equal if they were written equally, with the same variables."""

    written: str
    before: tuple[HttpPlan, ...] = ()
    steps: tuple[StepPlan, ...] = ()
    goodbyes: tuple[GoodbyePlan, ...] = ()
    captures: tuple[tuple[Expression, Captures], ...] = ()
    auto_replies: AutoReplies = ()
    inbox: InboxPlan | None = None
    retire: Expression | None = None
    heartbeat: HeartbeatPlan | None = None
    framing: Framing = field(default_factory=Framing)
    send_as: str | None = None
    arguments: frozenset[str] = frozenset()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Conduct):
            return False
        return self.written == other.written and self.variables == other.variables

    def __hash__(self) -> int:
        return hash(self.written)


def compile_conduct(
    template: CallTemplate,
    compiler: Callable[[str], Compiler],
    auto_reply: tuple[AutoReply, ...],
    variables: Mapping[str, str],
    found: Problems,
) -> Conduct:
    """Compile what a call template says about its connections; `auto_reply` is what holds on the whole connection.

    `compiler(field)` compiles the templates of a field, as trusted as where it came from.
    """
    auto = template.model_copy(update={"auto_reply": auto_reply})
    written = _written(template, auto_reply)
    return Conduct(
        written=written,
        arguments=arguments_in(written),
        before=tuple(
            _http(step, compiler("before_connect"), found, index) for index, step in enumerate(template.before_connect)
        ),
        steps=tuple(
            _step(step, compiler("on_connect"), found, index) for index, step in enumerate(template.on_connect)
        ),
        goodbyes=_goodbyes(template, compiler("on_disconnect"), found),
        captures=_captures(template, compiler("capture"), found),
        auto_replies=compile_auto_replies(auto, compiler("auto_reply"), found),
        inbox=_inbox(template.inbox, compiler("inbox"), found),
        retire=_retire(template.retire, compiler("retire"), found),
        heartbeat=_heartbeat(template.heartbeat, compiler("heartbeat"), found),
        framing=template.framing,
        send_as=template.send_as,
        variables=variables,
    )


def arguments_in(text: str) -> frozenset[str]:
    """The arguments that templates in a text need."""
    every = {EVERY_ARGUMENT} if _WHOLE_ARGS.search(text) else set()
    return frozenset({"".join(found) for found in _ARGUMENT.findall(text)} | every)


def _written(template: CallTemplate, auto_reply: tuple[AutoReply, ...]) -> str:
    steps = (*template.before_connect, *template.on_connect, *template.on_disconnect)
    parts: list[Any] = [step.model_dump(mode="json") for step in steps]
    parts += [rule.model_dump(mode="json") for rule in (*auto_reply, *template.capture)]
    parts += [template.heartbeat.model_dump(mode="json") if template.heartbeat else None]
    parts += [template.inbox.model_dump(mode="json") if template.inbox else None]
    parts += [template.framing.model_dump(), template.retire]
    return json.dumps([*parts, template.send_as], sort_keys=True)


def _expression(source: str, messages: Compiler, names: frozenset[str] = REPLY_NAMES) -> Expression:
    return compile_expression(source, names if messages.is_local else names - {"vars"}, local=messages.is_local)


_NOTHING = Compiler().value(None)


def _step(step: Step, messages: Compiler, found: Problems, index: int) -> StepPlan:
    path = f"on_connect[{index}]"
    send, captures = None, []
    if step.send is not None:
        with found.at(f"{path}.send"):
            send = messages.message(step.send)
    for name, source in step.capture.items():
        with found.at(f"{path}.capture.{name}"):
            captures.append((name, _expression(source, messages)))
    parts: dict[str, Expression | None] = {}
    for key in ("expect", "when", "fail", "fail_message"):
        parts[key] = None
        if (predicate := getattr(step, key)) is not None:
            with found.at(f"{path}.{key}"):
                parts[key] = _expression(predicate, messages)
    return StepPlan(send, captures=tuple(captures), timeout=step.timeout, takes_id=step.request_id, **parts)


def _http(step: HttpStep, messages: Compiler, found: Problems, index: int) -> HttpPlan:
    path = f"before_connect[{index}]"
    nodes: dict[str, Node] = {"url": _NOTHING, "json": _NOTHING, "form": _NOTHING}
    for key, value in (("url", step.http.url), ("json", step.http.json_body), ("form", step.http.form)):
        with found.at(f"{path}.http.{key}"):
            nodes[key] = messages.value(value)
            if key == "url" and isinstance(fixed := nodes[key], Constant):
                parse_http_url(str(fixed.value))
    headers = []
    for name, value in step.http.headers.items():
        with found.at(f"{path}.http.headers.{name}"):
            headers.append((name, messages.value(value)))
    captures, fail = [], compile_expression("false", HTTP_NAMES)
    for name, source in step.capture.items():
        with found.at(f"{path}.capture.{name}"):
            captures.append((name, _expression(source, messages, HTTP_NAMES)))
    with found.at(f"{path}.fail"):
        fail = _expression(step.fail, messages, HTTP_NAMES)
    fail_message = None
    if step.fail_message is not None:
        with found.at(f"{path}.fail_message"):
            fail_message = _expression(step.fail_message, messages, HTTP_NAMES)
    json_body = None if step.http.json_body is None else nodes["json"]
    form = None if step.http.form is None else nodes["form"]
    method = step.http.method.upper()
    rest = (tuple(captures), fail, fail_message, step.timeout)
    return HttpPlan(method, nodes["url"], tuple(headers), json_body, form, *rest)


def _goodbyes(template: CallTemplate, messages: Compiler, found: Problems) -> tuple[GoodbyePlan, ...]:
    goodbyes: list[GoodbyePlan] = []
    for index, goodbye in enumerate(template.on_disconnect):
        with found.at(f"on_disconnect[{index}]"):
            when = None if goodbye.when is None else _expression(goodbye.when, messages)
            goodbyes.append(GoodbyePlan(messages.message(goodbye.send), when))
    return tuple(goodbyes)


def _captures(template: CallTemplate, messages: Compiler, found: Problems) -> tuple[tuple[Expression, Captures], ...]:
    rules = []
    for index, rule in enumerate(template.capture):
        with found.at(f"capture[{index}]"):
            values = tuple((name, _expression(source, messages)) for name, source in rule.set.items())
            rules.append((_expression(rule.match, messages), values))
    return tuple(rules)


def _inbox(inbox: Inbox | None, messages: Compiler, found: Problems) -> InboxPlan | None:
    if inbox is None:
        return None
    with found.at("inbox"):
        return InboxPlan(_expression(inbox.match, messages), inbox.size)
    return None


def _retire(source: str | None, messages: Compiler, found: Problems) -> Expression | None:
    if source is None:
        return None
    with found.at("retire"):
        return _expression(source, messages)
    return None


def _heartbeat(heartbeat: Heartbeat | None, messages: Compiler, found: Problems) -> HeartbeatPlan | None:
    if heartbeat is None:
        return None
    with found.at("heartbeat"):
        send = replace(messages, names=REQUEST_NAMES).message(heartbeat.send)
        expect = None if heartbeat.expect is None else _expression(heartbeat.expect, messages)
        return HeartbeatPlan(_expression(str(heartbeat.every), messages), send, expect, heartbeat.timeout)
    return None
