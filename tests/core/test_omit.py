"""`omit` leaves out the field, element, header or subprotocol that it stands in."""

from pathlib import PurePath

import pytest

from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver


def compiled(variables, **fields):
    entry = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}
    loaded = load_document([entry], VariableResolver([variables]), "m.json", PurePath("/m"))
    assert not loaded.disabled
    tools, problems = compile_entry(loaded.entries[0])
    assert problems == []
    return tools[0].compiled_template


def scope(variables, **values):
    names = {"args": {}, "vars": variables, "session": {}, "tool": "t", "let": {}, **values}
    return Scope(Ambient(None, None), names)


TOKEN = "{{ vars.TOKEN | default(omit) }}"
BEARER = "Bearer {{ vars.TOKEN | default(omit) }}"
JOINED = "{{ 'Bearer ' ~ (vars.TOKEN | default(omit)) }}"
CHOSEN = "{{ vars.TOKEN if vars.TOKEN is defined else omit }}"
FORMS = {
    "whole": (TOKEN, "s"),
    "inside a text": (BEARER, "Bearer s"),
    "joined": (JOINED, "Bearer s"),
    "if": (CHOSEN, "s"),
}


@pytest.mark.parametrize(("text", "filled"), FORMS.values(), ids=FORMS)
def test_a_field_of_a_message_is_left_out(text, filled):
    message = {"a": 1, "token": text, "list": [text, 2], "deep": {"token": text}}
    for variables, expected in (
        ({}, {"a": 1, "list": [2], "deep": {}}),
        ({"TOKEN": "s"}, {"a": 1, "token": filled, "list": [filled, 2], "deep": {"token": filled}}),
    ):
        assert compiled(variables, message=message).request[0].render(scope(variables)) == expected


@pytest.mark.parametrize(("text", "filled"), FORMS.values(), ids=FORMS)
def test_a_header_is_left_out(text, filled):
    fields = {"headers": {"X-A": "1", "Authorization": text}}
    for variables, expected in (({}, (("X-A", "1"),)), ({"TOKEN": "s"}, (("X-A", "1"), ("Authorization", filled)))):
        assert compiled(variables, **fields).handshake.render(scope(variables)).headers == expected


def test_a_subprotocol_is_left_out():
    fields = {"protocol": ["chat", "token.{{ vars.TOKEN | default(omit) }}"]}
    for variables, expected in (({}, ("chat",)), ({"TOKEN": "s"}, ("chat", "token.s"))):
        assert compiled(variables, **fields).handshake.render(scope(variables)).subprotocols == expected


def test_a_value_of_session_or_an_argument_may_be_left_out_too():
    message = {"s": "{{ session.x | default(omit) }}", "a": "<{{ args.x | default(omit) }}>"}
    template = compiled({}, message=message)
    assert template.request[0].render(scope({})) == {}
    assert template.request[0].render(scope({}, session={"x": 1}, args={"x": 2})) == {"s": 1, "a": "<2>"}


@pytest.mark.parametrize("message", [f"TOKEN {TOKEN}", TOKEN])
def test_a_whole_message_cannot_be_left_out(message):
    with pytest.raises(RenderError):
        compiled({}, message=message).request[0].render(scope({}))


@pytest.mark.parametrize("url", [f"wss://a.example/{TOKEN}", f"wss://a.example/?t={TOKEN}"])
def test_a_part_of_the_url_cannot_be_left_out(url):
    with pytest.raises(RenderError):
        compiled({}, url=url).handshake.render(scope({}))


def test_a_header_and_a_field_of_a_request_are_left_out():
    request = {"url": "https://a.example/", "headers": {"X-Key": TOKEN}, "form": {"k": TOKEN}, "json": {"k": TOKEN}}
    step = compiled({}, before_message=[{"http": request}]).http_steps[0]
    assert (step.json.render(scope({})), step.form.render(scope({}))) == ({}, {})
