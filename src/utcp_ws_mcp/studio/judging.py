"""Say what the manifest takes the messages of a conversation for: they are routed as those of its own connections."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ..client.manifest_files import LoadedManifest
from ..core.codecs.framing import make_framer
from ..core.codecs.message import Message, MessageTooLarge, UndecodableStream, decode
from ..core.connection_rules import CompiledLoginStep
from ..core.exchange.connection_state import ConnectionState
from ..core.exchange.dispatcher import Dispatcher
from ..core.exchange.reply_rules import ReplyRules
from ..core.exchange.router import MessageRouter
from ..core.expressions.expression import EvaluationError, Expression
from ..core.expressions.scope import Ambient, Scope
from ..core.network_policy import URL
from ..core.templates.nodes import RenderError
from ..core.tools.tool import CompiledTool
from ..manifest.entries import ManifestEntry
from ..records import Record
from .unrendering import Unrendered, unrender

MAX_JUDGED_CHARACTERS: Final = 100_000
"""Characters or bytes of the longest message that is judged."""

RawMessage = tuple[int, bool, str | bytes]
"""The number of a line, whether it was sent, and its message."""


class Judgement(Record):
    """What the manifest takes a message for, and the rules that decided."""

    role: str
    reasons: tuple[str, ...] = ()


def judge(
    loaded: LoadedManifest, url: URL, messages: Sequence[RawMessage], redact: Callable[[str], str]
) -> dict[int, Judgement]:
    """Return what a manifest takes messages for, by the numbers of their lines.

    Args:
        loaded: The manifest.
        url: The URL of the connection.
        messages: The messages of the connection, in order.
        redact: Removes secrets from texts.

    Returns:
        Nothing if the manifest has no call template for the URL, or no tool or feed of it is known.
    """
    entry = _find_entry(loaded, url)
    if entry is None:
        return {}
    connection = _Judge(entry, loaded.tools[entry.name], redact)
    short = [each for each in messages if len(each[2]) <= MAX_JUDGED_CHARACTERS]
    return {number: connection.sent(raw) if sent else connection.received(raw) for number, sent, raw in short}


def _find_entry(loaded: LoadedManifest, url: URL) -> ManifestEntry | None:
    """Return the call template of an endpoint; the only one is meant if its URL depends on a call."""
    entries = [entry for entry in loaded.manifest.entries if loaded.tools.get(entry.name)]
    urls = [_url_of(loaded.tools[entry.name][0]) for entry in entries]
    known = zip(entries, urls, strict=True)
    found = next((entry for entry, own in known if own is not None and _is_same_place(own, url)), None)
    return entries[0] if urls == [None] else found


def _url_of(tool: CompiledTool) -> URL | None:
    """Return the URL of a tool, or None if it is not the same for every call."""
    constant = tool.compiled_template.handshake.constant
    return constant.url if constant is not None else None


def _is_same_place(own: URL, other: URL) -> bool:
    return own.origin == other.origin and own.path.rstrip("/") == other.path.rstrip("/")


class _Awaited:
    """A step of the login that waits for a message."""

    def __init__(self, expect: Expression, scope: Callable[[Message], Scope], done: Callable[[Scope], None]) -> None:
        self.finished = False
        self._expect = expect
        self._scope = scope
        self._done = done

    def accept(self, message: Message) -> tuple[str, ...]:
        """Finish if this is the message."""
        scope = self._scope(message)
        try:
            self.finished = bool(self._expect.evaluate(scope))
            if self.finished:
                self._done(scope)
        except EvaluationError as error:
            return (str(error),)
        return (f"on_connect.expect {'holds' if self.finished else 'is false'}: {self._expect.source}",)


class _Judge:
    """Routes the messages of one connection."""

    def __init__(self, entry: ManifestEntry, tools: Sequence[CompiledTool], redact: Callable[[str], str]) -> None:
        rules = tools[0].compiled_template.handshake.connection_rules
        self._entry = entry
        self._rules = rules
        self._tools = tools
        self._ambient = Ambient(lambda: datetime.now(UTC), os.urandom, redact)
        self._request_id: Any = None
        self._state = ConnectionState(rules, self._ambient, {}, {})
        self._dispatcher = Dispatcher("uuid", lambda: self._request_id)
        self._router = MessageRouter(self._state, self._dispatcher, trace_rules=True)
        self._framer = make_framer(rules.framing, rules.send_as, schema=rules.schema)
        self._awaited: list[_Awaited] = []
        for tool in tools:
            if tool.feed is not None and tool.feed.kind == "events" and not tool.feed.feed.definition.open:
                self._open(tool, tool.feed.feed.subscription.rules, Unrendered())

    def sent(self, raw: str | bytes) -> Judgement:
        """Note a sent message: what answers it is judged by the rules of its tool."""
        value = decode(raw).value
        if (index := self._login_index(value)) is not None:
            self._await_login(index + 1)
            return Judgement("login", ("a message of on_connect",))
        self._awaited.clear()
        found = max(self._candidates(value), key=lambda each: each[0], default=None)
        if found is None:
            return Judgement("no request", ("no tool of the manifest sends a message of this form",))
        (is_own, _), tool, rules, unrendered = found
        failed = self._open(tool, rules, unrendered)
        name = tool.feed.feed.full_name if tool.feed is not None else tool.full_name
        reasons = (f"as {name} sends it" if is_own else f"no tool has this name; the rules are those of {name}", failed)
        return Judgement("request", tuple(filter(None, reasons)))

    def received(self, raw: str | bytes) -> Judgement:
        """Route a received message."""
        judged: list[Judgement] = []
        try:
            for message in self._framer.decode(raw):
                role, reasons = self._router.route(message, self._awaited[0] if self._awaited else None)
                judged.append(Judgement(role, reasons))
                if self._awaited and self._awaited[0].finished:
                    self._awaited.pop(0)
        except MessageTooLarge:
            return Judgement("not decoded", ("it is, or announces a message, larger than limits.max_message_bytes",))
        except UndecodableStream as error:
            return Judgement("not decoded", tuple(filter(None, (str(error), self._framer.explain_misfit()))))
        self._dispatcher.outbox.clear()
        for exchange in self._dispatcher.pending():
            exchange.received.clear()
        if not judged:
            return Judgement("incomplete", ("the rest of the message follows in another one",))
        return Judgement(judged[0].role, tuple(reason for each in judged for reason in each.reasons))

    def _candidates(self, value: Any) -> Iterator[tuple[tuple[bool, int], CompiledTool, ReplyRules, Unrendered]]:
        """Yield the tools that may send a message: whether it has their name, and how much else it repeats."""
        for tool in self._tools:
            template, rules = _request_of(tool)
            unrendered = unrender(template, value) if rules is not None else None
            if rules is not None and unrendered is not None:
                is_own = unrendered.names.get("tool", tool.original_name) == tool.original_name
                yield (is_own, unrendered.constants), tool, rules, unrendered

    def _open(self, tool: CompiledTool, rules: ReplyRules, unrendered: Unrendered) -> str:
        """Open the exchange of a request; return why that is not possible, or an empty text."""
        self._request_id = unrendered.names.get("request_id")
        arguments = {**tool.defaults, **unrendered.arguments}
        name = tool.feed.feed.definition.name if tool.feed is not None else tool.original_name
        names = {"args": arguments, "tool": name, "vars": tool.variables, "session": self._state.values}
        try:
            exchange = self._dispatcher.open(rules, Scope(self._ambient, names))
            if rules.sends_http:
                self._dispatcher.release(exchange, {})
        except (RenderError, ValueError) as error:
            return str(error)
        if rules.no_reply:
            self._dispatcher.discard(exchange)
        return ""

    def _login_index(self, value: Any) -> int | None:
        steps = self._entry.template.on_connect if self._entry.template is not None else ()
        sends = [(index, step.send) for index, step in enumerate(steps) if step.send is not None]
        return next((index for index, send in sends if (found := unrender(send, value)) and found.constants), None)

    def _await_login(self, start: int) -> None:
        """Wait for the messages that the login expects before it sends the next one."""
        for step in self._rules.on_connect[start:]:
            if not isinstance(step, CompiledLoginStep) or step.expect is None:
                return
            self._awaited.append(_Awaited(step.expect, self._login_scope, self._save(step)))

    def _save(self, step: CompiledLoginStep) -> Callable[[Scope], None]:
        return lambda scope: self._state.capture(step.captures, scope)

    def _login_scope(self, message: Message) -> Scope:
        return self._state.scope(message=message.value, request_id=self._request_id)


def _request_of(tool: CompiledTool) -> tuple[Any, ReplyRules | None]:
    """Return the template of what a tool or a feed sends, and the rules for what answers it; no rules for nothing."""
    if tool.feed is not None:
        sends = [step.send for step in tool.feed.feed.definition.open if step.send is not None]
        return (sends[-1], tool.feed.feed.subscription.rules) if sends and tool.feed.kind == "events" else (None, None)
    if tool.rules.listen_only:
        return None, None
    template = tool.template.message
    return ("{{ args }}" if template is None else template), tool.rules
