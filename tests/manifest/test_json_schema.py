"""The JSON Schema of manifests: it takes what loads, and refuses what is no manifest."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePath
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel

from tests.docs.examples import read_examples
from utcp_ws_mcp.errors import InvalidManifest
from utcp_ws_mcp.manifest.json_schema import manifest_schema
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.models.base import Model
from utcp_ws_mcp.manifest.models.connection import Heartbeat
from utcp_ws_mcp.manifest.presets import preset_names, read_preset
from utcp_ws_mcp.manifest.variables import VariableResolver

ROOT = Path(__file__).parents[2]
SCHEMA = manifest_schema()
FILE = jsonschema_rs.validator_for(SCHEMA)
TOOL_TEMPLATE = jsonschema_rs.validator_for({"$ref": "#/$defs/ToolTemplate", "$defs": SCHEMA["$defs"]})
MANIFESTS = sorted(
    [*(ROOT / "manifests").glob("*.json"), *(ROOT / "verification" / "real" / "manifests").glob("*.json")]
)
EXAMPLES = read_examples()
URL = "wss://example.com/"


def wrong_places(validator: Any, document: Any) -> list[str]:
    return ["/".join(map(str, error.instance_path)) + ": " + error.message for error in validator.iter_errors(document)]


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_every_manifest_of_the_project_fits(file: Path) -> None:
    assert wrong_places(FILE, json.loads(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("name", sorted(preset_names()))
def test_every_preset_fits(name: str) -> None:
    assert wrong_places(TOOL_TEMPLATE, read_preset(name)) == []


@pytest.mark.parametrize(
    "example", [each for each in EXAMPLES if each.manifest.kind == "manifest"], ids=lambda each: each.manifest.place
)
def test_every_manifest_of_the_documentation_fits(example: Any) -> None:
    assert wrong_places(FILE, example.manifest.message) == []


FITTING = {
    "steps beside the inherited ones": {"url": URL, "on_connect": [{"send": "a"}, "..."], "ignore": ["...", "a"]},
    "a default of a variable": {"url": URL, "timeout": "${SECONDS:-5}"},
    "a schema for the editor": {"$schema": "./manifest.schema.json", "url": URL},
    "a comment in any object": {"url": URL, "$comment": 1, "limits": {"$comment": "few", "max_connections": 1}},
    "a variable in place of a number": {"url": URL, "timeout": "${SECONDS}", "limits": {"max_in_flight": "$COUNT"}},
    "null, which takes away what is inherited": {
        "url": URL,
        "tools": [{"name": "t", "tool_call_template": {"reply": None, "heartbeat": None, "timeout": None}}],
    },
    "short forms": {"url": URL, "reply": "none", "protocol": "a", "ignore": "true", "discovery": "handshake"},
    "a bound that is an expression": {"url": URL, "stream": {"until": "message.done", "max_items": "args.n"}},
    "an entry of another type, whatever it holds": [{"call_template_type": "http", "http_method": "GET"}],
    "a tool of another type": {"tools": [{"name": "t", "tool_call_template": {"call_template_type": "http", "x": 1}}]},
    "nothing that is sent": {"url": URL, "listen": True, "stream": True},
}


@pytest.mark.parametrize("document", FITTING.values(), ids=FITTING)
def test_all_that_may_be_written_fits(document: Any) -> None:
    assert wrong_places(FILE, document) == []


NOT_FITTING = {
    "a text": "wss://example.com/",
    "nothing": {},
    "an unknown key": {"url": URL, "mesage": "x"},
    "an unknown key of a tool's template": {"url": URL, "tools": [{"name": "t", "tool_call_template": {"mesage": 1}}]},
    "an unknown key in a part": {"url": URL, "reply": {"matches": "true"}},
    "a word for a number": {"url": URL, "timeout": "soon"},
    "a number that is too small": {"url": URL, "limits": {"max_connections": 0}},
    "a preset that does not exist": {"url": URL, "preset": "jsonrpc3"},
    "a codec that does not exist": {"url": URL, "framing": {"codec": "xml"}},
    "a tool without a name": {"url": URL, "tools": [{"description": "?"}]},
    "an entry without a url": [{"name": "a"}],
    "credentials of no kind": {"url": URL, "auth": {"auth_type": "magic"}},
    "a key without its value": {"url": URL, "auth": {"auth_type": "api_key"}},
    "a step that does two things": {"url": URL, "on_connect": [{"send": 1, "expect": "true"}]},
    "a message that is a number": {"url": URL, "message": 5},
    "a message that is false": {"url": URL, "message": False},
    "a heartbeat without a message": {"url": URL, "heartbeat": {"every": 5}},
    "a variable loader of another kind": {"manual_call_templates": [], "load_variables_from": [{"path": ".env"}]},
    "a url in a list of variables": {"url": URL, "variables": ["A"]},
    "null where nothing is inherited": {"url": URL, "max_tools": None},
    "null in credentials": {"url": URL, "auth": {"auth_type": "api_key", "api_key": None}},
    "null in a step": {"url": URL, "on_connect": [{"send": 1, "capture": None}]},
    "null in a feed": {"url": URL, "feeds": [{"name": "f", "match": "true", "size": None}]},
}


@pytest.mark.parametrize("document", NOT_FITTING.values(), ids=NOT_FITTING)
def test_what_is_no_manifest_does_not_fit(document: Any) -> None:
    assert wrong_places(FILE, document) != []


@pytest.mark.parametrize("name", [name for name in NOT_FITTING if name.startswith("null in")])
def test_null_that_does_not_fit_does_not_load_either(name: str) -> None:
    document = {"name": "m", "tools": [], **NOT_FITTING[name]}
    with pytest.raises(InvalidManifest):
        load_document(document, VariableResolver([]), "m.json", PurePath())


def reported(example: Any) -> str:
    """Return what an invalid manifest reports: its problems, or the output of `check`."""
    return "".join(example.blocks[kind].text for kind in ("problems", "check") if kind in example.blocks)


@pytest.mark.parametrize(
    "example",
    [each for each in EXAMPLES if each.manifest.kind == "wrong" and "unknown key" in reported(each)],
    ids=lambda each: each.manifest.place,
)
def test_the_invalid_manifests_of_the_documentation_do_not_fit(example: Any) -> None:
    assert wrong_places(FILE, example.manifest.message) != []


def all_models(base: type[BaseModel]) -> set[type[BaseModel]]:
    return {each for child in base.__subclasses__() for each in {child, *all_models(child)}}


@pytest.mark.parametrize("model", sorted(all_models(Model), key=lambda model: model.__name__))
def test_every_field_of_every_model_is_described_in_one_sentence(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert re.fullmatch(r"[A-Z].*[^.]\.", field.description or ""), name
        assert ". " not in str(field.description), name


def test_the_schema_describes_an_object_as_its_model_does() -> None:
    assert SCHEMA["$defs"]["Heartbeat"]["description"] == Heartbeat.__doc__
    every = SCHEMA["$defs"]["Heartbeat"]["properties"]["every"]
    assert every["description"] == Heartbeat.model_fields["every"].description


def test_every_property_in_the_schema_has_a_description() -> None:
    def bare(schema: Any, path: str) -> list[str]:
        if isinstance(schema, list):
            return [place for item in schema for place in bare(item, path)]
        if not isinstance(schema, dict):
            return []
        named = schema.get("properties", {}) if "additionalProperties" in schema else {}
        found = [f"{path}/{name}" for name, field in named.items() if not field.get("description")]
        return found + [place for key, value in schema.items() for place in bare(value, f"{path}/{key}")]

    assert bare(SCHEMA, "") == []
