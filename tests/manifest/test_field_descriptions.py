"""Paths in a manifest lead to the description of their field."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.manifest.validation import describe_field

DESCRIPTIONS = {
    "a field of a call template": ("timeout", "The timeout of a call in seconds"),
    "a field of an entry in an array": ("[3].tools", "The tools; by default"),
    "a field of an entry of a client configuration": ("manual_call_templates[0].pin", "Whether changed discovered"),
    "a field of a step": ("on_connect[1].timeout", "The timeout of the step"),
    "an element of a field": ("protocol[0]", "The subprotocols to offer"),
    "a field of a tool": ("tools[0].idempotent", "Whether the request may be sent again"),
    "a field of a tool's template": ("tools[0].tool_call_template.stream.until", "Predicate, or several"),
    "a field of credentials": ("auth.token_url", "The token endpoint: https://"),
    "an override of a tool": ("tool_overrides.some_tool.hidden", "Arguments that are not listed"),
    "a field with another name in the model": ("before_connect[0].http.json", "The body as JSON"),
    "an annotation": ("tools[0].annotations.readOnlyHint", "Whether the tool changes nothing"),
    "a field of the older dialect": ("request_data_format", "The form of the message"),
}


@pytest.mark.parametrize(("path", "description"), DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_a_path_has_the_description_of_its_field(path: str, description: str) -> None:
    assert str(describe_field(path)).startswith(description)


@pytest.mark.parametrize(
    "path", ["", "[1]", "message.timeout", "tools[0].inputs.properties.url", "headers.Host", "reply.url", "let.timeout"]
)
def test_other_paths_have_none(path: str) -> None:
    assert describe_field(path) is None
