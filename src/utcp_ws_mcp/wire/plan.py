"""A tool, compiled: all that a call of it needs, decided before the first call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..errors import BridgeError, InvalidArguments, InvalidTemplate, Problem
from ..manifest.load import Entry, ToolEntry
from ..manifest.models import Annotations, CallTemplate, ToolOverride
from .reply import Rules, compile_rules
from .schema import InvalidSchema, Schema
from .template import AllArguments, Compiler, Node
from .upgrade import Provenance, UpgradeTemplate, compile_upgrade

_ANY_OBJECT: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Plan:
    """One tool of one manual, ready to be called.

    `name` is what users call it; `tool` is its name in its manual, which expressions see. `inputs` and `outputs` are
    JSON Schemas (`outputs` empty where the manual gives none). `defaults` fill in arguments that a call leaves out.
    """

    manual: str
    name: str
    tool: str
    description: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    tags: tuple[str, ...]
    annotations: Annotations
    idempotent: bool
    template: CallTemplate = field(repr=False)
    message: Node = field(repr=False)
    cancel: Node | None = field(repr=False)
    rules: Rules = field(repr=False)
    upgrade: UpgradeTemplate = field(repr=False)
    defaults: Mapping[str, Any] = field(repr=False)
    fixed: Mapping[str, Any] = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)
    argument_schema: Schema = field(repr=False)
    result_schema: Schema | None = field(repr=False)

    @property
    def full_name(self) -> str:
        """`manual.tool`, unique in a bridge."""
        return f"{self.manual}.{self.name}"

    def complete(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with defaults, checked against the input schema.

        Raises:
            InvalidArguments: naming the argument that is wrong.
        """
        if wrong := self.argument_schema.check(dict(arguments)):
            raise InvalidArguments(self.full_name, f"wrong arguments: {wrong}")
        return {**self.defaults, **arguments, **self.fixed}


def compile_tool(entry: Entry, tool_entry: ToolEntry, override: ToolOverride | None = None) -> Plan:
    """Compile a tool of an entry.

    Raises:
        TemplateProblem: where the tool can never be called.
    """
    tool, template = tool_entry.tool, tool_entry.template
    override = override or ToolOverride()
    origin = Provenance(entry.variables, tool_entry.remote)
    messages = Compiler(origin.variables("message"), typed=template.typed_arguments)
    cancels = Compiler(origin.variables("stream"), typed=template.typed_arguments)
    inputs = _inputs(override.inputs if override.inputs is not None else tool.inputs)
    with _problems_at(tool_entry.path):
        upgrade = compile_upgrade(entry.name, template, origin, entry.folder)
        local_rules = all(origin.is_local(key) for key in ("reply", "ignore", "stream"))
        return Plan(
            manual=entry.name,
            name=override.name or tool.name,
            tool=tool.name,
            description=override.description if override.description is not None else tool.description,
            inputs=_visible(inputs, override),
            outputs=tool.outputs,
            tags=tool.tags,
            annotations=tool.annotations,
            idempotent=tool.idempotent and not tool_entry.remote,
            template=template,
            message=_message(template, messages),
            cancel=None if template.stream.cancel is None else cancels.message(template.stream.cancel),
            rules=compile_rules(template, local=local_rules),
            upgrade=upgrade,
            defaults={**_defaults(inputs), **override.defaults},
            fixed={name: override.defaults[name] for name in override.hidden if name in override.defaults},
            variables=entry.variables,
            argument_schema=_schema(_visible(inputs, override), "inputs"),
            result_schema=_schema(tool.outputs, "outputs") if tool.outputs else None,
        )


class TemplateProblem(Exception):
    """What makes a tool impossible to call, with its JSON path."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


@contextmanager
def _problems_at(path: str) -> Iterator[None]:
    """Turn errors of compiling into problems at a JSON path."""
    try:
        yield
    except BridgeError as error:
        raise TemplateProblem(Problem(path, str(error))) from error


def _message(template: CallTemplate, compiler: Compiler) -> Node:
    if template.message is None:
        return AllArguments(frozenset(template.header_fields))
    return compiler.message(template.message)


def _schema(schema: Mapping[str, Any], key: str) -> Schema:
    try:
        return Schema(schema)
    except InvalidSchema as invalid:
        raise InvalidTemplate(f"{key} is no usable JSON Schema: {invalid}") from None


def _inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The input schema with an object at its root, as MCP demands; one without properties takes any object."""
    return {**_ANY_OBJECT, **inputs} if inputs.get("type", "object") == "object" else dict(inputs)


def _visible(inputs: dict[str, Any], override: ToolOverride) -> dict[str, Any]:
    """The schema without hidden arguments, and with changed defaults; what has a default is not required."""
    if not override.hidden and not override.defaults:
        return inputs
    properties = {name: dict(schema) for name, schema in inputs.get("properties", {}).items()}
    for name, value in override.defaults.items():
        properties.setdefault(name, {})["default"] = value
    optional = {*override.hidden, *override.defaults}
    shown = {name: schema for name, schema in properties.items() if name not in override.hidden}
    required = [name for name in inputs.get("required", []) if name not in optional]
    return {**inputs, "properties": shown, "required": required}


def _defaults(inputs: Mapping[str, Any]) -> dict[str, Any]:
    properties = inputs.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {
        name: schema["default"]
        for name, schema in properties.items()
        if isinstance(schema, dict) and "default" in schema
    }
