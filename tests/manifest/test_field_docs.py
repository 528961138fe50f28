"""What the field at a path means."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.manifest.field_docs import _MODELS_BY_KEY, describe_field
from utcp_ws_mcp.manifest.json_schema import field_descriptions

MEANINGS = {
    "a field of a call template": ("timeout", "Seconds for a whole call"),
    "a field of an entry in an array": ("[3].tools", "The tools. Left out"),
    "a field of an entry of a client configuration": ("manual_call_templates[0].pin", "Discovered tools that change"),
    "a field of a step": ("on_connect[1].timeout", "Seconds for the step"),
    "an element of a field": ("protocol[0]", "The subprotocols to offer"),
    "a field of a tool's template": ("tools[0].tool_call_template.stream.until", "Predicate, or several"),
    "a field of credentials": ("auth.token_url", "Where the token is fetched"),
    "an override of a tool": ("tool_overrides.some_tool.hidden", "Arguments that are not shown"),
}


@pytest.mark.parametrize(("path", "meaning"), MEANINGS.values(), ids=MEANINGS)
def test_a_path_has_the_meaning_of_its_field(path: str, meaning: str) -> None:
    assert str(describe_field(path)).startswith(meaning)


@pytest.mark.parametrize("path", ["", "[1]", "message.timeout", "tools[0].inputs.properties.url", "headers.Host"])
def test_other_paths_have_none(path: str) -> None:
    assert describe_field(path) is None


def test_every_model_has_a_place() -> None:
    assert {model for models in _MODELS_BY_KEY.values() for model in models} == set(field_descriptions())
