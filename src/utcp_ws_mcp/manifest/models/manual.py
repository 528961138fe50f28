"""The tools of an endpoint: as a manual describes them, as a manifest selects and changes them (section 10)."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from .base import ExpressionSource, Json, Model


class DiscoverySettings(Model):
    """How the manual of an endpoint is requested."""

    send: Json = Field(
        default_factory=lambda: {"type": "utcp"},
        description='The message that requests the manual; by default {"type": "utcp"}, as UTCP defines it.',
    )
    match: ExpressionSource | None = Field(
        None,
        description="Predicate: the message contains the manual; by default any message with a list of tools.",
    )
    manual: ExpressionSource | None = Field(
        None, description="Expression: the manual in that message; by default the whole message."
    )


class Annotations(Model):
    """Hints for hosts, as MCP defines them."""

    title: str | None = Field(None, description="The display name of the tool.")
    read_only: bool | None = Field(None, alias="readOnlyHint", description="Whether the tool changes nothing.")
    destructive: bool | None = Field(None, alias="destructiveHint", description="Whether the tool can destroy data.")
    idempotent: bool | None = Field(
        None, alias="idempotentHint", description="Whether a repeated call has no additional effect."
    )
    open_world: bool | None = Field(
        None, alias="openWorldHint", description="Whether the tool interacts with systems beyond its own."
    )


class ToolOverride(Model):
    """What a manifest changes about one tool."""

    name: str | None = Field(None, description="The new name of the tool.")
    description: str | None = Field(None, description="The new description of the tool.")
    inputs: dict[str, Json] | None = Field(None, description="The new JSON Schema of the arguments.")
    annotations: Annotations | None = Field(
        None, description="The new hints for hosts; those that are not written stay as they are."
    )
    defaults: dict[str, Json] = Field(
        default_factory=dict, description="Values by name for arguments that a call does not provide."
    )
    hidden: tuple[str, ...] = Field((), description="Arguments that are not listed and that a call cannot provide.")


class Tool(Model):
    """A tool, as UTCP describes it."""

    name: str = Field(min_length=1, description="The name of the tool in its manual, available to expressions as tool.")
    description: str = Field("", description="What the tool does, for the model that selects it.")
    inputs: dict[str, Json] = Field(default_factory=dict, description="The JSON Schema of the arguments.")
    outputs: dict[str, Json] = Field(default_factory=dict, description="The JSON Schema of the result.")
    tags: tuple[str, ...] = Field((), description="Keywords for finding the tool.")
    average_response_size: int | None = Field(
        None, description="The average size of a result, as UTCP notes it; without effect here."
    )
    # Not a CallTemplate: it is merged with what it inherits before it is checked.
    tool_call_template: dict[str, Json] | None = Field(
        None, description="The fields in which this tool differs from the call template that it belongs to."
    )
    annotations: Annotations = Field(Annotations.model_construct(), description="Hints for hosts, as MCP defines them.")
    idempotent: bool = Field(
        False, description="Whether the request may be sent again if the connection was lost after it was sent."
    )


def _expand_handshake(value: object) -> object:
    return {} if value == "handshake" else value


_Discovery = Annotated[
    DiscoverySettings | None,
    BeforeValidator(_expand_handshake, json_schema_input_type=Literal["handshake"] | DiscoverySettings | None),
]


class ManualOptions(Model):
    """The options of a call template for its manual as a whole; tools do not inherit them."""

    discovery: _Discovery = Field(
        None,
        description='How the manual of the endpoint is requested, in addition to the listed tools; "handshake" '
        "requests it as UTCP defines it.",
    )
    # Not Tool: one invalid tool must not hide the problems of the others.
    tools: tuple[dict[str, Any], ...] | None = Field(
        None, description="The tools; by default the manual of the endpoint is requested."
    )
    include_tools: tuple[str, ...] | None = Field(
        None, description="Glob patterns of tool names; only matching tools are offered."
    )
    exclude_tools: tuple[str, ...] = Field(
        (), description="Glob patterns of tool names; matching tools are not offered."
    )
    tool_overrides: dict[str, ToolOverride] = Field(
        default_factory=dict, description="Changes of tools, by the name of the tool in its manual."
    )
    allow_origins: tuple[str, ...] = Field(
        (), description="Additional origins, such as wss://other.example.com, that discovered tools may use."
    )
    max_tools: int = Field(128, ge=1, description="The maximum number of tools of a discovered manual.")
    pin: Literal["tofu", "strict", "off"] | None = Field(
        None,
        description="Whether changed discovered tools are withheld: tofu trusts a tool on first use, strict only "
        "approved tools, off all tools; by default tofu, and off for an endpoint on this machine.",
    )


MANUAL_KEYS = frozenset(ManualOptions.model_fields)
"""The keys of an entry that a tool does not inherit."""
