"""A tool, compiled: all that a call of it needs, decided before the first call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from ...errors import InvalidArguments, InvalidTemplate
from ...manifest.loader import ManifestEntry, ResolvedTool
from ...manifest.models.call_template import Annotations, CallTemplate, ToolOverride
from ...manifest.validation import join_path
from ..connection_rules import compile_connection_rules
from ..diagnostics import Diagnostics
from ..exchange.reply_rules import ReplyRules, compile_reply_rules, with_utcp_framing
from ..expressions.scope import CALL_REQUEST_NAMES
from ..handshake_request import HandshakeTemplate, compile_handshake
from ..provenance import Provenance
from ..templates.compiler import Compiler
from ..templates.nodes import AllArguments, Node
from .argument_schema import InvalidSchema, SchemaValidator


@dataclass(frozen=True, slots=True)
class CompiledTemplate:
    """What goes over the wire: the messages of a request, the one that cancels a stream, the rules for what comes."""

    request: tuple[Node, ...]
    cancel: Node | None
    rules: ReplyRules
    handshake: HandshakeTemplate


@dataclass(frozen=True, slots=True)
class CompiledTool:
    """One tool of one manual, ready to be called.

    `name` is what users call it; `tool` is its name in its manual, which expressions see. `inputs` and `outputs` are
    JSON Schemas (`outputs` empty where the manual gives none). `defaults` fill in arguments that a call leaves out;
    `hidden` ones cannot be given.
    """

    manual: str
    name: str
    original_name: str
    description: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    tags: tuple[str, ...]
    annotations: Annotations
    idempotent: bool
    template: CallTemplate = field(repr=False)
    compiled_template: CompiledTemplate = field(repr=False)
    defaults: Mapping[str, Any] = field(repr=False)
    hidden: frozenset[str]
    variables: Mapping[str, str] = field(repr=False)
    argument_schema: SchemaValidator = field(repr=False)
    result_schema: SchemaValidator | None = field(repr=False)

    @property
    def rules(self) -> ReplyRules:
        """The rules for what comes back."""
        return self.compiled_template.rules

    @property
    def full_name(self) -> str:
        """`manual.tool`, unique in a bridge."""
        return f"{self.manual}.{self.name}"

    def validate_arguments(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with defaults, checked against the input schema.

        Raises:
            InvalidArguments: naming the argument that is wrong.
        """
        given = {name: value for name, value in arguments.items() if name not in self.hidden}
        if wrong := self.argument_schema.check(given):
            raise InvalidArguments(self.full_name, f"wrong arguments: {wrong}")
        return {**self.defaults, **given}

    def with_utcp_framing(self) -> CompiledTool:
        """The tool as a stream that UTCP frames, where it says nothing of its replies; else itself."""
        return replace(
            self, compiled_template=replace(self.compiled_template, rules=with_utcp_framing(self.rules, self.template))
        )


_NO_OVERRIDE: Final = ToolOverride()


def compile_tool(
    entry: ManifestEntry,
    tool_entry: ResolvedTool,
    override: ToolOverride | None = None,
    compiled_template: CompiledTemplate | None = None,
) -> CompiledTool:
    """Compile a tool of an entry. `wire` is the entry's own call template, where that was compiled before.

    Raises:
        TemplateProblem: with all that makes it impossible to call.
    """
    tool, template = tool_entry.tool, tool_entry.template
    override = override or _NO_OVERRIDE
    found = Diagnostics(tool_entry.path)
    below = found if tool_entry.is_template else Diagnostics(join_path(tool_entry.path, "tool_call_template"))
    inputs = _normalize_inputs(override.inputs if override.inputs is not None else tool.inputs, found)
    argument_schema = _compile_schema(inputs, "inputs", found)
    visible = _visible_inputs(inputs, override)
    if visible is not inputs and argument_schema is not None:
        argument_schema = _compile_schema(visible, "tool_overrides", found)
    if compiled_template is None or template is not entry.template:
        compiled_template = compile_template(entry, tool_entry, below, compiled_template)
    result_schema = _compile_schema(tool.outputs, "outputs", found) if tool.outputs else None
    found.problems += below.problems if below is not found else []
    found.raise_if_any()
    assert argument_schema is not None
    return CompiledTool(
        manual=entry.name,
        name=override.name or tool.name,
        original_name=tool.name,
        description=override.description if override.description is not None else tool.description,
        inputs=visible,
        outputs=tool.outputs,
        tags=tool.tags,
        annotations=tool.annotations,
        idempotent=tool.idempotent and not tool_entry.discovered,
        template=template,
        compiled_template=compiled_template,
        defaults={**_default_values(inputs), **override.defaults},
        hidden=frozenset(override.hidden),
        variables=entry.variables,
        argument_schema=argument_schema,
        result_schema=result_schema,
    )


def compile_template(
    entry: ManifestEntry, tool_entry: ResolvedTool, diagnostics: Diagnostics, shared: CompiledTemplate | None = None
) -> CompiledTemplate:
    """Compile the call template of a tool; what is wrong is noted in `found`.

    `shared` is the entry's own: a tool that asks for the same connection has the same upgrade.
    """
    template = tool_entry.template
    origin = Provenance(entry.variables, tool_entry.remote_fields)

    def compiler(key: str) -> Compiler:
        read = partial(entry.read_file, entry.folder) if entry.read_file else None
        return Compiler(origin.variables(key), typed=template.typed_arguments, read_file=read)

    def of_call(key: str) -> Compiler:
        return replace(compiler(key), names=CALL_REQUEST_NAMES)

    request: list[Node] = []
    cancel = None
    with diagnostics.collect("message"):
        unwritten = template.message in (None, False)
        all_arguments = AllArguments(frozenset(template.header_fields))
        request.append(all_arguments if unwritten else of_call("message").message(template.message))
    for index, message in enumerate(template.then):
        with diagnostics.collect(f"then[{index}]"):
            request.append(of_call("then").message(message))
    with diagnostics.collect("stream.cancel"):
        if template.stream.cancel is not None:
            cancel = of_call("stream").message(template.stream.cancel)
    common = entry.template.auto_reply if entry.template is not None else template.auto_reply
    own = template.auto_reply != common
    rules = compile_reply_rules(template, of_call("auto_reply"), own, origin.is_local, diagnostics)
    if shared is not None and entry.template is not None and _is_same_connection(tool_entry, entry.template):
        return CompiledTemplate(tuple(request), cancel, rules, shared.handshake)
    conduct = compile_connection_rules(template, compiler, common, entry.variables, diagnostics)
    upgrade = compile_handshake(entry.name, template, conduct, origin, entry.folder, diagnostics)
    return CompiledTemplate(tuple(request), cancel, rules, upgrade)


def _is_same_connection(tool: ResolvedTool, template: CallTemplate) -> bool:
    """Whether a tool of the manifest says of its connection what the entry's call template says."""
    return not tool.remote_fields and all(
        getattr(tool.template, key) == getattr(template, key) for key in _CONNECTION_FIELDS
    )


_CONNECTION_FIELDS: Final = frozenset(CallTemplate.model_fields) - {
    *("name", "preset", "let", "message", "then", "typed_arguments", "response_format", "timeout"),
    *("allowed_communication_protocols", "reply", "ignore", "stream", "auto_reply"),
}
"""Fields that an upgrade, or the conduct of its connection, is made of. What is not named here counts as one."""


def _compile_schema(schema: Mapping[str, Any], key: str, diagnostics: Diagnostics) -> SchemaValidator | None:
    try:
        return SchemaValidator(schema)
    except InvalidSchema as invalid:
        diagnostics.add(key, f"is no usable JSON Schema: {invalid}")
        return None


def _normalize_inputs(inputs: Mapping[str, Any], diagnostics: Diagnostics) -> dict[str, Any]:
    """The input schema with an object at its root, as MCP demands; one without properties takes any object."""
    kind = inputs.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind) and isinstance(kind, str | list):
        with diagnostics.collect("inputs"):
            raise InvalidTemplate(f"a tool takes its arguments by name: expected an object at the root, not {kind!r}")
    return {**inputs, "type": "object"} if isinstance(kind, str | list) else dict(inputs)


def _visible_inputs(inputs: dict[str, Any], override: ToolOverride) -> dict[str, Any]:
    """The schema without hidden arguments, and with changed defaults; what has a default is not required."""
    if not override.hidden and not override.defaults:
        return inputs
    properties = dict(found) if isinstance(found := inputs.get("properties"), dict) else {}
    for name, value in override.defaults.items():
        described = properties.get(name)
        properties[name] = {**(described if isinstance(described, dict) else {}), "default": value}
    optional = {*override.hidden, *override.defaults}
    shown = {name: schema for name, schema in properties.items() if name not in override.hidden}
    required = inputs.get("required")
    kept = [name for name in required if name not in optional] if isinstance(required, list) else []
    return {**inputs, "properties": shown, "required": kept}


def _default_values(inputs: Mapping[str, Any]) -> dict[str, Any]:
    properties = inputs.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {
        name: schema["default"]
        for name, schema in properties.items()
        if isinstance(schema, dict) and "default" in schema
    }
