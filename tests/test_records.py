"""What `repr` of the classes of values shows: `not_in_repr` names fields, and no credential is among the shown ones."""

from __future__ import annotations

import gc
import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import utcp_ws_mcp
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.core.expressions.scope import Scope
from utcp_ws_mcp.manifest.secret_names import is_secret_name
from utcp_ws_mcp.records import MutableRecord, Record

CANARY = "canary-4f9a1c"

OPAQUE = {"headers", "environ", "query", "new_text", "password", "used_variables", "typed_variables"}
"""Names of fields whose values hold credentials although no word of the name says so."""

NO_CREDENTIALS = {
    "CompiledFeed.query": "templates, which hold the names of variables",
    "CallerVariables.headers": "the names of headers",
    "Recording._secrets": "its own repr shows no value",
    "UrlTemplate.query": "templates, which hold the names of variables",
}
"""Fields that are shown although their name is that of a credential, with what they are."""


def subclasses(base: type) -> Iterator[Any]:
    for each in base.__subclasses__():
        yield each
        yield from subclasses(each)


def records() -> list[Any]:
    for module in pkgutil.walk_packages(utcp_ws_mcp.__path__, f"{utcp_ws_mcp.__name__}."):
        importlib.import_module(module.name)
    own = {each for base in (Record, MutableRecord) for each in subclasses(base)}
    return [each for each in own if each.__module__.startswith(f"{utcp_ws_mcp.__name__}.")]


def test_what_a_class_hides_are_its_fields() -> None:
    wrong = {f"{each.__qualname__}.{name}" for each in records() for name in set(each.not_in_repr) - fields(each)}
    assert not wrong


def test_a_class_hides_what_its_base_hides() -> None:
    wrong = {
        f"{each.__qualname__}.{name}"
        for each in records()
        for base in each.__mro__
        for name in set(getattr(base, "not_in_repr", ())) - set(each.not_in_repr)
    }
    assert not wrong


def test_no_field_with_the_name_of_a_credential_is_shown() -> None:
    shown = {
        f"{each.__qualname__}.{name}"
        for each in records()
        for name in fields(each) - set(each.not_in_repr)
        if (is_secret_name(name) or name in OPAQUE) and each.__annotations__.get(name) != "bool"
    }
    assert shown == NO_CREDENTIALS.keys()


def fields(kind: Any) -> set[str]:
    return set(kind.__struct_fields__)


HTTP_STEP = {
    "url": "https://a.example/t?k=${KEY}",
    "query": {"q": "${KEY}"},
    "headers": {"A": "${KEY}"},
    "method": "POST",
}
CALL_TEMPLATE = {
    "name": "m",
    "url": "wss://a.example/?k=${KEY}&room={{ args.room }}",
    "query": {"token": "${KEY}", "tags": ["${KEY}", "{{ args.room }} ${KEY}"]},
    "headers": {"X-A": "a ${KEY}", "X-B": "{{ vars.KEY }}", "X-C": "{{ args.room }} ${KEY}"},
    "protocol": ["v1", "${KEY}"],
    "proxy": "http://u:${KEY}@127.0.0.1:1",
    "auth": {"auth_type": "basic", "username": "u", "password": "${KEY}"},
    "before_connect": [
        {"http": {**HTTP_STEP, "json": {"k": "x ${KEY} {{ args.room }}"}}, "capture": {"t": "body.token"}},
        {"http": {**HTTP_STEP, "form": {"k": "x ${KEY} {{ args.room }}"}}},
    ],
    "on_connect": [
        {"send": {"login": "${KEY}", "b": "Bearer ${KEY} {{ session.t }}"}},
        {"expect": "message.key == vars.KEY"},
    ],
    "on_disconnect": [{"send": "QUIT ${KEY} {{ session.t }}"}],
    "heartbeat": {"every": 5, "send": {"k": "${KEY}"}},
}
MESSAGES: dict[str, Any] = {
    "an object": {"k": "${KEY}", "s": "pre ${KEY} {{ args.room }}", "u": "UTCP_ARG_room_UTCP_ARG ${KEY}"},
    "a text": "AUTH ${KEY} {{ args.room }}\r\n",
    "JSON text": '{"k": "${KEY}", "r": "UTCP_ARG_room_UTCP_ARG"}',
    "a list": {"a": {"$each": "args.rooms", "$template": {"k": "${KEY} {{ item }}"}}},
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_no_object_of_a_manifest_shows_a_credential(message: Any, tmp_path: Path) -> None:
    inputs = {"type": "object", "properties": {"room": {"type": "string"}, "rooms": {"type": "array"}}}
    reply = {"match": "message.k == vars.KEY", "result": "message.x ~ vars.KEY", "error_message": "vars.KEY"}
    template = {"message": message, "reply": reply, "let": {"q": "vars.KEY ~ args.room"}}
    tools = [{"name": "t", "inputs": inputs, "tool_call_template": template}]
    file = tmp_path / "m.json"
    file.write_text(json.dumps([{**CALL_TEMPLATE, "tools": tools}]))
    manifest = load_manifest(file, {"KEY": CANARY})
    assert CANARY in str(manifest.manifest.entries[0].variables)

    assert shown_by(manifest) == {}


def test_no_request_shows_a_credential(tmp_path: Path) -> None:
    without_steps = {name: value for name, value in CALL_TEMPLATE.items() if name != "before_connect"}
    file = tmp_path / "m.json"
    file.write_text(json.dumps([{**without_steps, "on_connect": [], "on_disconnect": [], "tools": [{"name": "t"}]}]))
    [tool] = load_manifest(file, {"KEY": CANARY}).tools["m"]
    scope = Scope(None, {"args": {"room": "a"}, "tool": "", "vars": {"KEY": CANARY}, "session": {}})
    request = tool.compiled_template.handshake.render(scope)
    assert CANARY in request.target()

    assert shown_by(request) == {}


def shown_by(root: Any) -> dict[str, str]:
    """Return what shows the canary among all objects of the package that an object leads to, by class."""
    seen, found, left = set[int](), dict[str, str](), [root]
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, type | ModuleType):
            continue
        seen.add(id(each))
        if type(each).__module__.startswith(utcp_ws_mcp.__name__):
            found |= {type(each).__qualname__: text for text in (repr(each), str(each)) if CANARY in text}
        is_function = hasattr(each, "__globals__")
        left += [cell.cell_contents for cell in each.__closure__ or ()] if is_function else gc.get_referents(each)
    return found
