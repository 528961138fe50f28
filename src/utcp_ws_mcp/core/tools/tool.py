"""A tool, compiled: all that a call of it needs, decided before the first call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ...errors import InvalidArguments, InvalidTemplate, end_sentence
from ...manifest.entries import ManifestEntry, ResolvedTool
from ...manifest.models.call_template import CallTemplate
from ...manifest.models.manual import Annotations, ToolOverride
from ...manifest.stream_framing import as_utcp_stream
from ...manifest.validation import join_path
from ...records import Record, force_setattr, replace
from ..diagnostics import Diagnostics
from ..exchange.reply_rules import ReplyRules, with_stream
from .argument_forms import ArgumentForms, has_float
from .argument_schema import InvalidSchema, SchemaValidator
from .template import CompiledTemplate, TemplateCompiler

if TYPE_CHECKING:
    from ..feeds.feed import FeedTool


class CompiledInputs(Record):
    """A compiled input schema.

    Args:
        schema: The schema, with an object at its root.
        validator: Validates arguments.
        forms: Gives them the form that the schema says.
        defaults: Values of arguments that a call leaves out.
    """

    schema: Mapping[str, Any]
    validator: SchemaValidator
    forms: ArgumentForms
    defaults: Mapping[str, Any]


_NO_RULES: Final = ReplyRules()


class CompiledTool(Record):
    """One tool of one manual, ready to be called.

    Args:
        manual: The name of the manual.
        name: The name that users call it by, which an override may have changed.
        original_name: The name in the manual, which expressions see.
        inputs: The JSON Schema of the arguments.
        outputs: The JSON Schema of the result; empty where the manual has none.
        defaults: Values of arguments that a call leaves out.
        hidden: Arguments that a call cannot set.
        rank: The order in which tools have their names in hosts: 0 for a tool of the manifest, greater for one that
            was approved later.
        feed: What the tool reads, if it belongs to a feed; then nothing is sent for a call.

    Attributes:
        full_name: `manual.tool`, unique in a bridge.
        rules: The rules for its replies.
        returns_parsed_json: Whether a result or item that is no text or bytes is a part of a message that was parsed
            as JSON.
        has_plain_reply: Whether a call sends its messages at once and returns the one reply to them.
        has_structured_output: Whether results have the form of `outputs`: feeds and JSON replies do, text and streams
            do not.
    """

    not_in_repr: ClassVar = (
        "template",
        "compiled_template",
        "defaults",
        "variables",
        "argument_schema",
        "argument_forms",
        "result_schema",
        "feed",
        "full_name",
        "rules",
        "returns_parsed_json",
        "has_plain_reply",
        "has_structured_output",
    )
    manual: str
    name: str
    original_name: str
    description: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    tags: tuple[str, ...]
    annotations: Annotations
    idempotent: bool
    template: CallTemplate
    compiled_template: CompiledTemplate
    defaults: Mapping[str, Any]
    hidden: frozenset[str]
    variables: Mapping[str, str]
    argument_schema: SchemaValidator
    argument_forms: ArgumentForms
    result_schema: SchemaValidator | None
    rank: int = 0
    feed: FeedTool | None = None
    full_name: str = ""
    rules: ReplyRules = _NO_RULES
    returns_parsed_json: bool = False
    has_plain_reply: bool = False
    has_structured_output: bool = False

    def __post_init__(self) -> None:
        # Asked for by each call, so they are computed once.
        rules, framing = self.compiled_template.rules, self.template.framing
        result = rules.result_expression
        is_part = result is None or (result.path is not None and result.path[0] == "message")
        is_json = framing.codec == "json" and not framing.has_header
        force_setattr(self, "full_name", f"{self.manual}.{self.name}")
        force_setattr(self, "rules", rules)
        force_setattr(self, "returns_parsed_json", is_part and is_json and self.feed is None)
        has_reply = rules.stream is None and not rules.no_reply
        force_setattr(self, "has_plain_reply", has_reply and not rules.sends_http and self.feed is None)
        is_value = bool(self.outputs) and self.template.response_format == "json" and rules.stream is None
        force_setattr(self, "has_structured_output", is_value or self.feed is not None)

    def validate_arguments(
        self, arguments: Mapping[str, Any], on_text: Callable[[], None] = lambda: None
    ) -> dict[str, Any]:
        """Return the arguments with defaults, checked against the input schema, in the form that it says.

        Args:
            arguments: The arguments by name.
            on_text: Called if the arguments are valid only because texts in them are read as JSON.

        Raises:
            InvalidArguments: with the name of the argument that is wrong.
        """
        given = dict(arguments)
        for name in self.hidden:
            given.pop(name, None)
        if problem := self.argument_schema.check(given):
            read: list[None] = []
            given = self.argument_forms.fit(given, partial(read.append, None))
            problem = self.argument_schema.check(given) if read else problem
            if problem is not None:
                raise InvalidArguments(self.full_name, f"invalid arguments: {end_sentence(problem)}")
            on_text()
        complete = {**self.defaults, **given}
        return self.argument_forms.fit(complete) if has_float(complete.values()) else complete

    def with_utcp_framing(self) -> CompiledTool:
        """Return the tool as a stream in UTCP's framing, where it has no other rules for its replies; else itself."""
        template = as_utcp_stream(self.template)
        if template is self.template:
            return self
        rules = with_stream(self.rules, template)
        return replace(self, compiled_template=replace(self.compiled_template, rules=rules))

    def with_timeout(self, seconds: float) -> CompiledTool:
        """Return the tool with another timeout of its calls."""
        return replace(self, template=self.template.model_copy(update={"timeout": seconds}))


_NO_OVERRIDE: Final = ToolOverride.model_construct()


def compile_tool(
    entry: ManifestEntry,
    tool_entry: ResolvedTool,
    templates: TemplateCompiler,
    override: ToolOverride = _NO_OVERRIDE,
) -> CompiledTool:
    """Compile a tool of an entry.

    Args:
        entry: The entry that the tool belongs to.
        tool_entry: The tool with its call template.
        templates: Compiles the call templates of the entry.
        override: What the manifest changes about the tool.

    Raises:
        CompileError: with everything that makes it impossible to call.
    """
    tool = tool_entry.tool
    diagnostics = Diagnostics(tool_entry.path)
    declared = tool.inputs if override.inputs is None else override.inputs
    inputs = templates.shared.inputs.get(declared, partial(compile_inputs, declared), diagnostics)
    visible = inputs and _without_hidden(inputs, override, diagnostics)
    compiled_template = _compile_template(tool_entry, templates, diagnostics)
    result_schema = compile_schema(tool.outputs, "outputs", diagnostics) if tool.outputs else None
    diagnostics.raise_if_any()
    assert inputs is not None
    assert visible is not None
    return CompiledTool(
        manual=entry.name,
        name=override.name or tool.name,
        original_name=tool.name,
        description=override.description if override.description is not None else tool.description,
        inputs=visible.schema,
        outputs=tool.outputs,
        tags=tool.tags,
        annotations=_overridden_hints(tool.annotations, override.annotations),
        idempotent=tool.idempotent and not tool_entry.discovered,
        template=tool_entry.template,
        compiled_template=compiled_template,
        defaults={**inputs.defaults, **override.defaults},
        hidden=frozenset(override.hidden),
        variables=entry.variables,
        argument_schema=visible.validator,
        argument_forms=visible.forms,
        result_schema=result_schema,
    )


def _without_hidden(inputs: CompiledInputs, override: ToolOverride, diagnostics: Diagnostics) -> CompiledInputs | None:
    """Return what a call can set: the inputs without hidden arguments, and with changed defaults."""
    if not override.hidden and not override.defaults:
        return inputs
    visible = _visible_inputs(inputs.schema, override)
    validator = compile_schema(visible, "tool_overrides", diagnostics)
    if validator is None:
        return None
    return CompiledInputs(visible, validator, ArgumentForms(visible), inputs.defaults)


def _overridden_hints(own: Annotations, override: Annotations | None) -> Annotations:
    if override is None:
        return own
    return own.model_copy(update={name: getattr(override, name) for name in override.model_fields_set})


def _compile_template(
    tool_entry: ResolvedTool, templates: TemplateCompiler, diagnostics: Diagnostics
) -> CompiledTemplate:
    """Compile the template of a tool; its problems have the path of the place where it is written."""
    if (known := templates.find(tool_entry)) is not None:
        return known
    if tool_entry.is_template:
        return templates.compile_template(tool_entry, diagnostics)
    template_diagnostics = Diagnostics(join_path(tool_entry.path, "tool_call_template"))
    compiled = templates.compile_template(tool_entry, template_diagnostics)
    diagnostics.problems += template_diagnostics.problems
    return compiled


def _visible_inputs(inputs: Mapping[str, Any], override: ToolOverride) -> dict[str, Any]:
    """Return the schema without hidden arguments, and with changed defaults; what has a default is not required."""
    declared = inputs.get("properties")
    properties = dict(declared) if isinstance(declared, dict) else {}
    for name, value in override.defaults.items():
        described = properties.get(name)
        properties[name] = {**(described if isinstance(described, dict) else {}), "default": value}
    optional = {*override.hidden, *override.defaults}
    shown = {name: schema for name, schema in properties.items() if name not in override.hidden}
    required = inputs.get("required")
    required_names = [name for name in required if name not in optional] if isinstance(required, list) else []
    return {**inputs, "properties": shown, "required": required_names}


def compile_inputs(declared: Mapping[str, Any], diagnostics: Diagnostics) -> CompiledInputs | None:
    """Return a compiled input schema, or None if it cannot be used, which is reported."""
    schema = _normalize(declared, diagnostics)
    validator = compile_schema(schema, "inputs", diagnostics)
    if validator is None:
        return None
    return CompiledInputs(schema, validator, ArgumentForms(schema), default_values(schema))


def compile_schema(schema: Mapping[str, Any], key: str, diagnostics: Diagnostics) -> SchemaValidator | None:
    """Return the validator of a schema, or None if it cannot be used, which is reported at the place in the schema."""
    try:
        return SchemaValidator(schema)
    except InvalidSchema as error:
        diagnostics.add(reduce(join_path, error.path, key), f"not a usable JSON Schema: {error}", error.code)
        return None


def default_values(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a schema has for arguments that a call leaves out."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {name: each["default"] for name, each in properties.items() if isinstance(each, dict) and "default" in each}


def _normalize(inputs: Mapping[str, Any], diagnostics: Diagnostics) -> dict[str, Any]:
    """Return the input schema with an object at its root, as MCP demands; one without properties takes any object."""
    kind = inputs.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind) and isinstance(kind, str | list):
        with diagnostics.collect("inputs"):
            raise InvalidTemplate(
                f'the root of the schema is of type {kind!r}. Write "type": "object": a tool receives its arguments '
                "by name.",
                code="schema-root-not-object",
            )
    return {**inputs, "type": "object"} if isinstance(kind, str | list) else dict(inputs)
