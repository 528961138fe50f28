"""Compile the call templates of an entry: what a call sends, what it expects, and the connection that it needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...manifest.entries import ManifestEntry, ResolvedTool
from ...manifest.models.base import Json
from ...manifest.models.call_template import CONNECTION_FIELDS, CallTemplate
from ...records import Record, replace
from ..connection_rules import compile_connection_rules
from ..diagnostics import Diagnostics
from ..exchange.reply_rules import ReplyRules, compile_reply_rules
from ..expressions.scope import CALL_REQUEST_NAMES, CANCEL_NAMES
from ..handshake_compiler import Provenance, compile_handshake
from ..handshake_request import HandshakeTemplate
from ..http_steps import CompiledHttpStep, HttpStepCompiler
from ..templates.compiler import Compiler
from ..templates.nodes import AllArguments, Node
from ..templates.slices import CompleteSlices, find_sliced_values


class CompiledTemplate(Record):
    """A compiled call template.

    Args:
        http_steps: The HTTP requests before the messages.
        request: The messages of a request, in order.
        rules: What a message is to a call.
        handshake: The connection.
    """

    http_steps: tuple[CompiledHttpStep, ...]
    request: tuple[Node, ...]
    rules: ReplyRules
    handshake: HandshakeTemplate


class TemplateCompiler:
    """Compiles the call templates of one entry, and shares what is equal between its tools.

    A whole compiled template is shared between tools that write nothing of their own: the loader gives them the
    template of the entry itself. A handshake is shared with the entry by tools that differ from it only in fields that
    concern one call. What the network wrote is never shared with what the manifest wrote, because it may use less.
    """

    def __init__(self, entry: ManifestEntry) -> None:
        self._entry = entry
        self._compiled: dict[tuple[int, frozenset[str]], tuple[CallTemplate, CompiledTemplate]] = {}

    def compile_template(self, tool: ResolvedTool, diagnostics: Diagnostics) -> CompiledTemplate:
        """Return the compiled template of a tool. What is wrong with it is added to `diagnostics`, and not shared."""
        # Templates hold objects and cannot be hashed. An id is unique while its object lives: the cache keeps it alive.
        key = (id(tool.template), tool.remote_fields)
        if (known := self._compiled.get(key)) is not None:
            return known[1]
        problem_count = len(diagnostics.problems)
        compiled = _compile(self._entry, tool, self._shared_handshake(tool), diagnostics)
        if len(diagnostics.problems) == problem_count:
            self._compiled[key] = tool.template, compiled
        return compiled

    def _shared_handshake(self, tool: ResolvedTool) -> HandshakeTemplate | None:
        own = self._entry.template
        known = self._compiled.get((id(own), frozenset()))
        if own is None or known is None or tool.remote_fields or not _is_same_connection(tool.template, own):
            return None
        return known[1].handshake


def _is_same_connection(template: CallTemplate, other: CallTemplate) -> bool:
    return all(getattr(template, key) == getattr(other, key) for key in CONNECTION_FIELDS)


def _compile(
    entry: ManifestEntry, tool: ResolvedTool, handshake: HandshakeTemplate | None, diagnostics: Diagnostics
) -> CompiledTemplate:
    template = tool.template
    provenance = Provenance(entry.variables, tool.remote_fields)

    def compiler(key: str) -> Compiler:
        read = partial(entry.read_file, entry.folder) if entry.read_file else None
        return Compiler(
            provenance.variables(key),
            typed=template.typed_arguments,
            read_file=read,
            separator=template.framing.separator or "",
            codec=template.framing.codec,
        )

    def call_compiler(key: str) -> Compiler:
        return replace(compiler(key), names=CALL_REQUEST_NAMES)

    http = HttpStepCompiler(template, diagnostics)
    http_steps = tuple(
        http.compile_step(step, call_compiler("before_message"), f"before_message[{index}]", "let")
        for index, step in enumerate(template.before_message)
    )
    request = _compile_request(template, call_compiler, provenance, diagnostics)
    # What the entry answers automatically holds on its connections; what a tool adds, in its own exchanges only.
    common = entry.template.auto_reply if entry.template is not None else template.auto_reply
    is_own = template.auto_reply != common
    rules = compile_reply_rules(template, call_compiler("auto_reply"), is_own, provenance.is_local, diagnostics)
    rules = _with_cancel_messages(rules, template, compiler, diagnostics)
    if handshake is None:
        connection_rules = compile_connection_rules(template, compiler, common, entry.variables, diagnostics)
        handshake = compile_handshake(entry.name, template, connection_rules, provenance, entry.folder, diagnostics)
    return CompiledTemplate(http_steps, request, rules, handshake)


def _compile_request(
    template: CallTemplate, compiler: Callable[[str], Compiler], provenance: Provenance, diagnostics: Diagnostics
) -> tuple[Node, ...]:
    """Return the messages of a call: `message`, or all arguments, and those of `then`."""
    request: list[Node] = []
    with diagnostics.collect("message"):
        if template.message is None:
            request.append(AllArguments(frozenset(template.header_fields)))
        else:
            request.append(compiler("message").message(template.message))
    for index, message in enumerate(template.then):
        with diagnostics.collect(f"then[{index}]"):
            request.append(compiler("then").message(message))
    local = provenance.is_local("message")
    names = CALL_REQUEST_NAMES if local else CALL_REQUEST_NAMES - {"vars"}
    with diagnostics.collect("message"):
        if request and (sliced := find_sliced_values((template.message, *template.then), names, local=local)):
            request[0] = CompleteSlices(request[0], sliced)
    return tuple(request)


def _with_cancel_messages(
    rules: ReplyRules, template: CallTemplate, compiler: Callable[[str], Compiler], diagnostics: Diagnostics
) -> ReplyRules:
    """Return the rules with the messages that end what a call began.

    A stream that is off begins nothing, nor does a call that only listens on a connection that it shares.
    """

    def compile_message(key: str, message: Json) -> Node | None:
        with diagnostics.collect(f"{key}.cancel"):
            return None if message is None else replace(compiler(key), names=CANCEL_NAMES).message(message)
        return None

    begins = template.stream.on and not (template.listen and template.keep_alive)
    cancel_stream = compile_message("stream", template.stream.cancel) if begins else None
    return replace(rules, cancel_reply=compile_message("reply", template.reply.cancel), cancel_stream=cancel_stream)
