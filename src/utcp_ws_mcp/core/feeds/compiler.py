"""Compile the feeds of an entry, and the tools that read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from ...errors import InvalidTemplate
from ...manifest.entries import ManifestEntry, ResolvedTool
from ...manifest.models.call_template import CallTemplate
from ...manifest.models.feed import Feed, FeedStep
from ...manifest.models.manual import Annotations, Tool
from ...manifest.models.reply import Stream
from ...manifest.validation import join_path
from ...records import replace
from ..diagnostics import Diagnostics
from ..exchange.reply_rules import Concurrency, ReplyRules, with_correlation
from ..exchange.stream_rules import StreamRules
from ..expressions.expression import Expression, compile_expression
from ..expressions.scope import CALL_REPLY_NAMES, CALL_REQUEST_NAMES
from ..handshake_request import HandshakeTemplate
from ..templates.compiler import Compiler
from ..templates.nodes import Node
from ..tools.argument_forms import ArgumentForms
from ..tools.argument_schema import SchemaValidator
from ..tools.template import CompiledTemplate, TemplateCompiler
from ..tools.tool import CompiledTool, compile_schema, default_values
from .feed import CompiledFeed, FeedRequest, FeedTool
from .query import NAMES, compile_feed_query
from .tool_texts import (
    RESERVED_ARGUMENTS,
    events_description,
    events_inputs,
    events_outputs,
    latest_description,
    latest_inputs,
    latest_outputs,
)

T = TypeVar("T")

UNLIMITED: Final = 1 << 62
"""The bound of a feed's stream, whose events are bounded by its buffer."""

_HINTS: Final = Annotations(readOnlyHint=True, idempotentHint=True)
_SEND_NAMES: Final = CALL_REQUEST_NAMES - {"let"}
_EVENT_NAMES: Final = CALL_REPLY_NAMES - {"let"}


def compile_feeds(entry: ManifestEntry, templates: TemplateCompiler, diagnostics: Diagnostics) -> list[CompiledTool]:
    """Return the tools that read the feeds of an entry; what is wrong is added to `diagnostics`."""
    assert entry.template is not None
    own = ResolvedTool(Tool(name="(feeds)"), entry.template, entry.path)
    compiled = templates.compile_template(own, Diagnostics(entry.path))  # its problems are reported already
    tools: list[CompiledTool] = []
    for index, feed in enumerate(entry.template.feeds):
        path = join_path(join_path(entry.path, "feeds"), index)
        feed_diagnostics = Diagnostics(path)
        tools += _compile_feed(entry, feed, compiled, feed_diagnostics)
        diagnostics.problems += feed_diagnostics.problems
    return tools


def _compile_feed(
    entry: ManifestEntry, feed: Feed, template: CompiledTemplate, diagnostics: Diagnostics
) -> Iterator[CompiledTool]:
    assert entry.template is not None
    builder = _FeedBuilder(entry, entry.template, template.rules, diagnostics)
    compiled = builder.build(feed, template.handshake)
    inputs: dict[str, Any] = {**feed.inputs, "type": "object"}
    with diagnostics.collect("inputs"):
        for name in sorted(RESERVED_ARGUMENTS & compiled.argument_names):
            message = f"the argument {name!r} is one of the tools of every feed. Give it another name."
            raise InvalidTemplate(message, code="feed-argument-reserved")
    yield _make_tool(
        compiled, "events", events_description(compiled), events_inputs(feed, inputs), entry, template, diagnostics
    )
    if feed.key is not None:
        yield _make_tool(
            compiled, "latest", latest_description(compiled), latest_inputs(inputs), entry, template, diagnostics
        )


def _make_tool(
    feed: CompiledFeed,
    kind: Any,
    description: str,
    inputs: dict[str, Any],
    entry: ManifestEntry,
    template: CompiledTemplate,
    diagnostics: Diagnostics,
) -> CompiledTool:
    assert entry.template is not None
    schema = compile_schema(inputs, "inputs", diagnostics) or SchemaValidator({})
    name = f"{feed.definition.name}_{kind}"
    return CompiledTool(
        manual=entry.name,
        name=name,
        original_name=name,
        description=description,
        inputs=inputs,
        outputs=events_outputs() if kind == "events" else latest_outputs(),
        tags=("feed",),
        annotations=_HINTS,
        idempotent=True,
        template=entry.template,
        compiled_template=replace(template, request=(), rules=feed.subscription.rules),
        defaults=default_values(feed.definition.inputs),
        hidden=frozenset(),
        variables=entry.variables,
        argument_schema=schema,
        argument_forms=ArgumentForms(inputs),
        result_schema=None,
        feed=FeedTool(feed, kind),
    )


class _FeedBuilder:
    """Compiles one feed. `inherited` are the reply rules of its call template: they say what an error is."""

    def __init__(
        self, entry: ManifestEntry, template: CallTemplate, inherited: ReplyRules, diagnostics: Diagnostics
    ) -> None:
        read = partial(entry.read_file, entry.folder) if entry.read_file else None
        self._compiler = Compiler(
            entry.variables, typed=True, names=_SEND_NAMES, read_file=read, codec=template.framing.codec
        )
        self._manual = entry.name
        self._inherited = inherited
        self._errors_only = ReplyRules(error=inherited.error, error_message=inherited.error_message)
        self._diagnostics = diagnostics

    def build(self, feed: Feed, handshake: HandshakeTemplate) -> CompiledFeed:
        """Return the compiled feed; what cannot be compiled is missing from it, and reported."""
        requests = self._requests(feed.open, "open")
        # What a connection of its own brings is about the feed, also if no message was sent.
        rules = self._errors_only if feed.query else ReplyRules()
        *opening, last = requests or [FeedRequest((), rules, self._default_timeout)]
        stream = self._stream(feed)
        rules = replace(
            last.rules,
            listen_only=not last.messages,
            no_reply=False,
            stream=stream,
            concurrency=Concurrency.MULTIPLEXED,
            cancel_stream=self._message("close", feed.close),
        )
        # `fail` of the last step is about its reply: `not message.success` would make each event an error.
        opened = replace(rules, error=self._inherited.error, error_message=self._inherited.error_message)
        properties = feed.inputs.get("properties")
        return CompiledFeed(
            manual=self._manual,
            definition=feed,
            handshake=handshake,
            query=compile_feed_query(feed, handshake, replace(self._compiler, names=NAMES), self._diagnostics),
            opening=tuple(opening),
            subscription=replace(last, rules=replace(rules, opened=opened)),
            resume=tuple(self._requests(feed.resume, "resume", {"position"})),
            item=stream.item,
            key=self._expression("key", feed.key, {"item"}),
            position=self._expression("position", feed.position),
            argument_names=frozenset(properties if isinstance(properties, dict) else ()),
        )

    def _stream(self, feed: Feed) -> StreamRules:
        until = self._expression("until", feed.until)
        item = self._expression("item", feed.item)
        return StreamRules(self._expression("match", feed.match), () if until is None else (until,), item, _BOUNDS)

    _default_timeout: Final = 10.0

    def _requests(self, steps: Sequence[FeedStep], field: str, names: Any = frozenset()) -> list[FeedRequest]:
        """Return the steps as requests: each one ends with the reply that is expected."""
        requests: list[FeedRequest] = []
        messages: list[Node] = []
        for index, step in enumerate(steps):
            path = f"{field}[{index}]"
            if step.send is not None:
                message = self._message(f"{path}.send", step.send, names)
                messages += [] if message is None else [message]
            else:
                requests.append(FeedRequest(tuple(messages), self._reply_rules(step, path, names), step.timeout))
                messages = []
        if messages:
            rules = replace(self._errors_only, no_reply=True)
            requests.append(FeedRequest(tuple(messages), rules, self._default_timeout))
        return requests

    def _reply_rules(self, step: FeedStep, path: str, names: Any) -> ReplyRules:
        rules = ReplyRules(
            match=self._expression(f"{path}.expect", step.expect, names),
            error=self._expression(f"{path}.fail", step.fail, names) or self._inherited.error,
            error_message=self._expression(f"{path}.fail_message", step.fail_message, names)
            or self._inherited.error_message,
            answers_all=step.answers_all,
        )
        return with_correlation(rules, concurrent=True)

    def _expression(self, path: str, source: str | None, names: Any = frozenset()) -> Expression | None:
        return self._collect(path, source, lambda text: compile_expression(text, _EVENT_NAMES | frozenset(names)))

    def _message(self, path: str, value: Any, names: Any = frozenset()) -> Node | None:
        compiler = replace(self._compiler, names=_SEND_NAMES | frozenset(names))
        return self._collect(path, value, compiler.message)

    def _collect(self, path: str, source: Any, compile_source: Callable[[Any], T]) -> T | None:
        if source is None:
            return None
        with self._diagnostics.collect(path):
            return compile_source(source)
        return None


_BOUNDS: Final = Stream(max_items=UNLIMITED, max_bytes=UNLIMITED)
