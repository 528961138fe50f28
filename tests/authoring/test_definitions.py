"""The tools that agents get: what they take, and what hosts learn of them."""

from __future__ import annotations

import jsonschema_rs
import pytest

from utcp_ws_mcp.authoring.actions import ACTIONS
from utcp_ws_mcp.authoring.definitions import TOOLS

HINTS: dict[str, dict[str, bool]] = {
    "guide": {"readOnlyHint": True, "openWorldHint": False},
    "list_catalog": {"readOnlyHint": True, "openWorldHint": False},
    "list_presets": {"readOnlyHint": True, "openWorldHint": False},
    "import_description": {"readOnlyHint": True},
    "probe": {"destructiveHint": True},
    "check_manifest": {"readOnlyHint": True, "openWorldHint": False},
    "try_call": {"destructiveHint": True},
    "save_manifest": {"destructiveHint": True, "idempotentHint": True, "openWorldHint": False},
    "list_manifests": {"readOnlyHint": True, "openWorldHint": False},
    "remove_manifest": {"destructiveHint": True, "idempotentHint": True, "openWorldHint": False},
}


def test_every_tool_has_an_action_and_hosts_know_what_it_may_do() -> None:
    assert list(TOOLS) == list(ACTIONS)
    assert {name: tool["annotations"] for name, tool in TOOLS.items()} == HINTS


REQUIRED = {
    "probe": ["url"],
    "try_call": ["tool"],
    "save_manifest": ["name"],
    "remove_manifest": ["name"],
}


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_takes_what_it_describes_and_nothing_else(name: str) -> None:
    schema = TOOLS[name]["inputSchema"]
    assert schema.get("required", []) == REQUIRED.get(name, [])
    assert schema["additionalProperties"] is False
    assert all(jsonschema_rs.validator_for(each) for each in (schema, *schema["properties"].values()))
    assert set(REQUIRED.get(name, [])) <= set(schema["properties"])


def test_seconds_are_bounded_by_the_limits_of_probes_and_trials() -> None:
    bounds = {
        name: (seconds.get("minimum"), seconds.get("exclusiveMinimum"), seconds["maximum"])
        for name, tool in TOOLS.items()
        if (seconds := tool["inputSchema"]["properties"].get("seconds")) is not None
    }
    assert (bounds["probe"], bounds["try_call"][2]) == ((0, None, 20.0), 60.0)
