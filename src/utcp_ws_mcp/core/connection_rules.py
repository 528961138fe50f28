"""What a connection does by itself: login steps, captured values, automatic replies, heartbeats."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from ..errors import InvalidTemplate
from ..manifest.models.call_template import CallTemplate
from ..manifest.models.connection import AutoReply, Heartbeat, Step
from ..manifest.models.framing import Framing, ProtobufSettings
from ..manifest.variables import MESSAGE_KEYS, find_variables
from ..records import Record, field, force_setattr, replace
from .captures import Captures, compile_captures
from .diagnostics import Diagnostics
from .exchange.reply_rules import AutoReplies, compile_auto_replies
from .expressions.analysis import find_arguments
from .expressions.expression import Expression, compile_expression
from .expressions.scope import ANSWER_NAMES, BEFORE_CONNECT_NAMES, CONNECTION_NAMES
from .http_steps import CompiledHttpStep, HttpStepCompiler
from .templates.compiler import Compiler
from .templates.nodes import Node

if TYPE_CHECKING:
    from .codecs.protobuf import ProtobufSchema, SchemaTypes

_RULE_FIELDS: Final = {
    *("before_connect", "on_connect", "on_disconnect", "auto_reply", "capture"),
    *("reconnect_when", "fail_when", "fail_message", "session_identity", "heartbeat", "framing", "send_as"),
}
"""The fields of a call template that this module compiles."""


class CompiledLoginStep(Record):
    """A compiled step of `on_connect`: `send` or `expect`. `timeout` in seconds.

    `optional` holds the names of captured values that may be missing.
    """

    send: Node | None
    expect: Expression | None
    when: Expression | None
    captures: Captures
    optional: frozenset[str]
    fail: Expression | None
    fail_message: Expression | None
    timeout: float
    allocates_request_id: bool


class CompiledDisconnectMessage(Record):
    """A compiled message of `on_disconnect`."""

    send: Node
    when: Expression | None


class CompiledHeartbeat(Record):
    """A compiled heartbeat; `every` is an expression that gives seconds."""

    every: Expression
    send: Node
    expect: Expression | None
    timeout: float


class ConnectionRules(Record, eq=False):
    """The compiled rules of a connection. Two are equal if they are written equally, with the same variables.

    `login` is what is written in `before_connect` and `on_connect`, `login_arguments` are the arguments in it, and
    `unset_variables` the optional variables in it that have no value. `concerns_messages`: there are rules for the
    messages that arrive, besides the heartbeat.
    """

    not_in_repr: ClassVar = ("variables", "concerns_messages")
    fingerprint: str
    before_connect: tuple[CompiledHttpStep, ...] = ()
    on_connect: tuple[CompiledLoginStep | CompiledHttpStep, ...] = ()
    on_disconnect: tuple[CompiledDisconnectMessage, ...] = ()
    captures: tuple[tuple[Expression, Captures], ...] = ()
    auto_replies: AutoReplies = ()
    reconnect_when: Expression | None = None
    fail_when: Expression | None = None
    fail_message: Expression | None = None
    session_identity: Expression | None = None
    heartbeat: CompiledHeartbeat | None = None
    framing: Framing = field(default_factory=Framing)
    schema: ProtobufSchema | None = None
    send_as: str | None = None
    arguments: frozenset[str] = frozenset()
    login: str = ""
    login_arguments: frozenset[str] = frozenset()
    unset_variables: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    concerns_messages: bool = False

    def __post_init__(self) -> None:
        concerns = self.captures or self.auto_replies or self.reconnect_when or self.fail_when
        force_setattr(self, "concerns_messages", bool(concerns))

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
    http = HttpStepCompiler(template, diagnostics)

    own = _with_names(compiler, CONNECTION_NAMES)
    rule = _with_names(compiler, BEFORE_CONNECT_NAMES)
    answer = _with_names(compiler, ANSWER_NAMES)
    written = auto.model_dump(mode="json", by_alias=True, include=_RULE_FIELDS)
    schema = _compile_framing(template.framing, compiler("framing"), diagnostics)
    login = {key: written[key] for key in ("before_connect", "on_connect")}
    return ConnectionRules(
        # Templates hold lists and objects, which cannot be hashed: connections are compared by what is written.
        fingerprint=json.dumps([written, schema and schema.digest], sort_keys=True),
        arguments=find_arguments(written, MESSAGE_KEYS),
        login=json.dumps(login, sort_keys=True),
        login_arguments=find_arguments(login, MESSAGE_KEYS),
        unset_variables=tuple(dict.fromkeys(name for name in find_variables(login) if name not in variables)),
        before_connect=_compile_before_connect(template, rule("before_connect"), http),
        on_connect=_compile_on_connect(template, own("on_connect"), http, diagnostics),
        on_disconnect=_compile_disconnect_messages(template, own("on_disconnect"), diagnostics),
        captures=_compile_captures(template, rule("capture"), diagnostics),
        auto_replies=compile_auto_replies(auto, rule("auto_reply"), answer("auto_reply"), diagnostics),
        reconnect_when=_compile_field(template, "reconnect_when", rule, diagnostics),
        fail_when=_compile_field(template, "fail_when", rule, diagnostics),
        fail_message=_compile_field(template, "fail_message", rule, diagnostics),
        session_identity=_compile_field(template, "session_identity", rule, diagnostics),
        heartbeat=_compile_heartbeat(template.heartbeat, own("heartbeat"), diagnostics),
        framing=template.framing,
        schema=schema,
        send_as=template.send_as,
        variables=variables,
    )


def _with_names(compiler: Callable[[str], Compiler], names: frozenset[str]) -> Callable[[str], Compiler]:
    """Return the compilers of fields in which expressions may use these names."""
    return lambda key: replace(compiler(key), names=names)


def _compile(source: str, compiler: Compiler) -> Expression:
    names = compiler.names | {"message"}
    return compile_expression(source, names if compiler.is_local else names - {"vars"}, local=compiler.is_local)


def _compile_before_connect(
    template: CallTemplate, compiler: Compiler, http: HttpStepCompiler
) -> tuple[CompiledHttpStep, ...]:
    steps = enumerate(template.before_connect)
    return tuple(http.compile_step(step, compiler, f"before_connect[{index}]") for index, step in steps)


def _compile_on_connect(
    template: CallTemplate, compiler: Compiler, http: HttpStepCompiler, diagnostics: Diagnostics
) -> tuple[CompiledLoginStep | CompiledHttpStep, ...]:
    steps = enumerate(template.on_connect)
    return tuple(_compile_step(step, compiler, http, diagnostics, f"on_connect[{index}]") for index, step in steps)


def _compile_step(
    step: Step, compiler: Compiler, http: HttpStepCompiler, diagnostics: Diagnostics, path: str
) -> CompiledLoginStep | CompiledHttpStep:
    if step.http is not None:
        return http.compile_step(step, compiler, path)
    send = None
    if step.send is not None:
        with diagnostics.collect(f"{path}.send"):
            send = compiler.message(step.send)
    names = compiler.names if step.send is not None else compiler.names | {"message"}
    captures = compile_captures(step.capture, replace(compiler, names=names), diagnostics, path)
    parts: dict[str, Expression | None] = {}
    for key in ("expect", "when", "fail", "fail_message"):
        parts[key] = None
        if (predicate := getattr(step, key)) is not None:
            with diagnostics.collect(f"{path}.{key}"):
                parts[key] = _compile(predicate, compiler)
    return CompiledLoginStep(
        send,
        captures=captures,
        optional=http.optional("session"),
        timeout=step.timeout,
        allocates_request_id=step.request_id,
        **parts,
    )


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


def _compile_framing(framing: Framing, compiler: Compiler, diagnostics: Diagnostics) -> ProtobufSchema | None:
    """Check what the model of a framing cannot check; return its schema, if it has one."""
    if framing.length is not None and framing.length.pattern is not None:
        from .codecs.text_splitting import compile_length_pattern  # few manifests need it

        with diagnostics.collect("framing.length.pattern"):
            compile_length_pattern(framing.length.pattern)
    settings = framing.protobuf
    if settings is not None:
        return _load_schema(settings, compiler, diagnostics)
    return None


def _load_schema(settings: ProtobufSettings, compiler: Compiler, diagnostics: Diagnostics) -> ProtobufSchema | None:
    from .codecs.protobuf import load_types  # few manifests need it

    types: SchemaTypes | None = None
    with diagnostics.collect("framing.protobuf.schema"):
        if compiler.read_file is None or not compiler.is_local:
            raise InvalidTemplate(
                "a schema is a file beside the manifest, and there is none.", code="invalid-schema-file"
            )
        types = load_types(settings.schema_file, compiler.read_file)
    if types is None:
        return None
    for key, name in (("receive", settings.receive), ("send", settings.send)):
        with diagnostics.collect(f"framing.protobuf.{key}"):
            if name is not None:
                types.find(name)
    return None if diagnostics.problems else types.select(settings.receive, settings.send)


def _compile_field(
    template: CallTemplate, key: str, compiler: Callable[[str], Compiler], diagnostics: Diagnostics
) -> Expression | None:
    """Return the expression of a field, or None where there is none or a wrong one."""
    source: str | None = getattr(template, key)
    if source is None:
        return None
    with diagnostics.collect(key):
        return _compile(source, compiler(key))
    return None


def _compile_heartbeat(
    heartbeat: Heartbeat | None, compiler: Compiler, diagnostics: Diagnostics
) -> CompiledHeartbeat | None:
    if heartbeat is None:
        return None
    with diagnostics.collect("heartbeat"):
        send = compiler.message(heartbeat.send)
        expect = None if heartbeat.expect is None else _compile(heartbeat.expect, compiler)
        return CompiledHeartbeat(_compile(str(heartbeat.every), compiler), send, expect, heartbeat.timeout)
    return None
