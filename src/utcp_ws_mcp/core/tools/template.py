"""Compile the call templates of an entry: what a call sends, what it expects, and the connection that it needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic_core import to_json

from ...manifest.entries import ManifestEntry, ResolvedTool
from ...manifest.models.base import Json
from ...manifest.models.call_template import CONNECTION_FIELDS, CallTemplate
from ...records import Record, force_setattr, replace
from ..connection_rules import ConnectionRules, compile_connection_rules
from ..diagnostics import Diagnostics
from ..exchange.reply_rules import ReplyRules, compile_reply_rules
from ..expressions.scope import CALL_REQUEST_NAMES, CANCEL_NAMES
from ..handshake_compiler import Provenance, compile_handshake
from ..handshake_request import HandshakeTemplate
from ..http_steps import CompiledHttpStep, HttpStepCompiler
from ..templates.compiler import Compiler
from ..templates.nodes import AllArguments, Node, reads_time
from ..templates.slices import CompleteSlices, find_sliced_values

if TYPE_CHECKING:
    from .tool import CompiledInputs

T = TypeVar("T")

_STEPS = ("before_connect", "on_connect", "before_message")
"""Fields with steps that may send HTTP requests."""


class CompiledTemplate(Record):
    """A compiled call template.

    Args:
        http_steps: The HTTP requests before the messages.
        request: The messages of a request, in order.
        rules: What a message is to a call.
        handshake: The connection.

    Attributes:
        reads_time: Whether a message of the request has the time in it.
    """

    http_steps: tuple[CompiledHttpStep, ...]
    request: tuple[Node, ...]
    rules: ReplyRules
    handshake: HandshakeTemplate
    reads_time: bool = False

    def __post_init__(self) -> None:
        force_setattr(self, "reads_time", reads_time(self.request))


class _Parts(Record):
    """What is compiled of a call template besides the URL and the headers of its connection."""

    http_steps: tuple[CompiledHttpStep, ...]
    request: tuple[Node, ...]
    rules: ReplyRules
    connection_rules: ConnectionRules


class Memo(Generic[T]):
    """What parts of a document were compiled into, by the JSON of each part."""

    def __init__(self) -> None:
        self._compiled: dict[bytes, T] = {}

    def get(self, part: Json, compile_part: Callable[[Diagnostics], T], diagnostics: Diagnostics) -> T:
        """Return what an equal part was compiled into; else compile it.

        What is wrong with the part is added to `diagnostics`. It is not shared, so that each place is reported.
        """
        try:
            key = to_json(part)
        except ValueError:  # a lone surrogate
            return compile_part(diagnostics)
        if key in self._compiled:
            return self._compiled[key]
        problem_count = len(diagnostics.problems)
        compiled = compile_part(diagnostics)
        if len(diagnostics.problems) == problem_count:
            self._compiled[key] = compiled
        return compiled


class SharedParts:
    """What call templates and tools of one manifest write in the same words, compiled once."""

    def __init__(self) -> None:
        self.inputs: Memo[CompiledInputs | None] = Memo()
        self.templates: Memo[_Parts] = Memo()


class TemplateCompiler:
    """Compiles the call templates of one entry, and shares what is equal between its tools.

    A whole compiled template is shared between tools that write nothing of their own: the loader gives them the
    template of the entry itself. A handshake is shared with the entry by tools that differ from it only in fields that
    concern one call. What the network wrote is never shared with what the manifest wrote, because it may use less.

    Args:
        entry: The entry.
        shared: What the entries of its manifest share.
    """

    def __init__(self, entry: ManifestEntry, shared: SharedParts | None = None) -> None:
        self.shared = SharedParts() if shared is None else shared
        self._entry = entry
        self._compiled: dict[tuple[int, frozenset[str]], tuple[CallTemplate, CompiledTemplate]] = {}

    def find(self, tool: ResolvedTool) -> CompiledTemplate | None:
        """Return the compiled template of a tool if it is known."""
        # Templates hold objects and cannot be hashed. An id is unique while its object lives: the cache keeps it alive.
        known = self._compiled.get((id(tool.template), tool.remote_fields))
        return None if known is None else known[1]

    def compile_template(self, tool: ResolvedTool, diagnostics: Diagnostics) -> CompiledTemplate:
        """Return the compiled template of a tool. What is wrong with it is added to `diagnostics`, and not shared."""
        if (known := self.find(tool)) is not None:
            return known
        problem_count = len(diagnostics.problems)
        compiled = self._compile(tool, diagnostics)
        if len(diagnostics.problems) == problem_count:
            self._compiled[id(tool.template), tool.remote_fields] = tool.template, compiled
        return compiled

    def _compile(self, tool: ResolvedTool, diagnostics: Diagnostics) -> CompiledTemplate:
        entry, template = self._entry, tool.template
        source = _Source(entry, tool)
        if (handshake := self._shared_handshake(tool)) is not None:
            return CompiledTemplate(*source.compile_call(diagnostics), handshake)
        if template is entry.template and not tool.remote_fields:
            parts = self.shared.templates.get(_written_parts(entry), source.compile_parts, diagnostics)
        else:
            parts = source.compile_parts(diagnostics)
        handshake = compile_handshake(
            entry.name, template, parts.connection_rules, source.provenance, entry.folder, diagnostics
        )
        return CompiledTemplate(parts.http_steps, parts.request, parts.rules, handshake)

    def _shared_handshake(self, tool: ResolvedTool) -> HandshakeTemplate | None:
        own = self._entry.template
        known = self._compiled.get((id(own), frozenset()))
        if own is None or known is None or tool.remote_fields or not _is_same_connection(tool.template, own):
            return None
        return known[1].handshake


def _is_same_connection(template: CallTemplate, other: CallTemplate) -> bool:
    return all(getattr(template, key) == getattr(other, key) for key in CONNECTION_FIELDS)


def _written_parts(entry: ManifestEntry) -> Json:
    """Return what the parts of the call template of an entry are compiled from.

    Many entries differ in their names and URLs only. Steps over HTTP may send credentials to the server of the URL.
    """
    own = {"name", "query"} if any(entry.raw.get(key) for key in _STEPS) else {"name", "url", "query"}
    written = {key: value for key, value in entry.raw.items() if key not in own}
    return [written, entry.variables, str(entry.folder)]


class _Source:
    """Where the call template of a tool came from, and what is compiled of it."""

    def __init__(self, entry: ManifestEntry, tool: ResolvedTool) -> None:
        self.provenance = Provenance(entry.variables, tool.remote_fields)
        self._entry = entry
        self._template = template = tool.template
        # What the entry answers automatically holds on its connections; what a tool adds, in its own exchanges only.
        self._common_replies = entry.template.auto_reply if entry.template is not None else template.auto_reply

    def compile_parts(self, diagnostics: Diagnostics) -> _Parts:
        """Return everything but the handshake."""
        call = self.compile_call(diagnostics)
        rules = compile_connection_rules(
            self._template, self._compiler, self._common_replies, self._entry.variables, diagnostics
        )
        return _Parts(*call, rules)

    def compile_call(
        self, diagnostics: Diagnostics
    ) -> tuple[tuple[CompiledHttpStep, ...], tuple[Node, ...], ReplyRules]:
        """Return what one call sends and expects."""
        template = self._template
        http = HttpStepCompiler(template, diagnostics)
        http_steps = tuple(
            http.compile_step(step, self._call_compiler("before_message"), f"before_message[{index}]", "let")
            for index, step in enumerate(template.before_message)
        )
        request = _compile_request(template, self._call_compiler, self.provenance, diagnostics)
        is_own = template.auto_reply != self._common_replies
        rules = compile_reply_rules(
            template, self._call_compiler("auto_reply"), is_own, self.provenance.is_local, diagnostics
        )
        return http_steps, request, _with_cancel_messages(rules, template, self._compiler, diagnostics)

    def _compiler(self, key: str) -> Compiler:
        entry, framing = self._entry, self._template.framing
        return Compiler(
            self.provenance.variables(key),
            typed=self._template.typed_arguments,
            read_file=partial(entry.read_file, entry.folder) if entry.read_file else None,
            separator=framing.separator or "",
            codec=framing.codec,
        )

    def _call_compiler(self, key: str) -> Compiler:
        return replace(self._compiler(key), names=CALL_REQUEST_NAMES)


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
