"""The parsers whose input meets expressions: expressions themselves, templates, and messages under preset rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import PurePath
from typing import Any, Final

from utcp_ws_mcp.core.codecs.framing import make_framer
from utcp_ws_mcp.core.codecs.message import decode, encode
from utcp_ws_mcp.core.exchange.connection_state import ConnectionState
from utcp_ws_mcp.core.exchange.dispatcher import Dispatcher
from utcp_ws_mcp.core.exchange.result import extract_result
from utcp_ws_mcp.core.expressions.expression import EvaluationError, Expression
from utcp_ws_mcp.core.expressions.scope import MESSAGE_NAMES, Ambient, Scope
from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.core.tools.tool import CompiledTool
from utcp_ws_mcp.errors import InvalidReply, InvalidTemplate, ToolError
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.presets import preset_names
from utcp_ws_mcp.manifest.variables import VariableResolver

from . import seeds
from .parsers import Parser, text_of

AMBIENT: Final = Ambient(lambda: datetime(2026, 1, 1, tzinfo=UTC), lambda count: b"\x01" * count)
ARGUMENTS: Final[dict[str, Any]] = {
    "s": "te\u2028xt\ud800",
    "n": 7,
    "f": False,
    "t": "https://a.example/b",
    "a": None,
    "items": [{"x": 1}, 2.5, [], "z" * 50],
    "big": 10**30,
}
MESSAGE: Final = {"id": 3, "items": [{"x": 1}, {"y": "2"}], "type": "a", "data": b"\x00\x01", "result": "r", "e": 1e300}


def scope() -> Scope:
    """Names as an exchange has them."""
    values = {"args": dict(ARGUMENTS), "message": MESSAGE, "request_id": 3, "tool": "t", "vars": {"A": "1", "X": "x"}}
    return Scope(AMBIENT, {**values, "session": {"salt": "s"}, "reply": {"id": 3}, "counter": 1, "next_id": lambda: 4})


class Anything(dict[str, str]):
    """A value for each variable."""

    def get(self, name: str, default: Any = None) -> str:
        """The value, whatever the name."""
        return self[name]

    def __missing__(self, name: str) -> str:
        return "x"


def accept_expression(data: bytes) -> None:
    """An expression of a local manifest, and the same from the network."""
    text = text_of(data)
    with suppress(InvalidTemplate):
        Expression(text, MESSAGE_NAMES - {"vars"}, local=False).is_true(scope())
    if "*" in text:  # a repetition of text is as long as its author wants, and a local manifest is trusted like code
        return
    expression = Expression(text, MESSAGE_NAMES)
    assert isinstance(expression.is_true(scope()), bool)
    expression.evaluate(scope())


def accept_template(data: bytes) -> None:
    """A template, local and from the network, filled and encoded."""
    template = decode(text_of(data)).value
    for variables in (None, Anything()):
        node = Compiler(variables).message(template)
        value = node.render(scope())
        for codec in ("json", "mqtt", "stomp", "socketio4", "cbor", "msgpack"):
            try:
                make_framer(_framing(codec)).encode(value)
            except ValueError:
                continue
        if not isinstance(value, bytes):
            encode(value)


@cache
def _framing(codec: Any) -> Any:
    from utcp_ws_mcp.manifest.models.framing import Framing

    return Framing(codec=codec)


@cache
def preset_plans() -> tuple[CompiledTool, ...]:
    """A tool under the rules of every preset."""
    documents = [
        {"name": name.replace("-", "_"), "url": "wss://a.example/", "preset": name, "tools": [{"name": "t"}]}
        for name in sorted(preset_names())
    ]
    environ = Anything()
    entries = load_document(documents, VariableResolver([environ]), "m.json", PurePath()).entries
    return tuple(plan for found in entries for plan in compile_entry(found)[0])


def accept_under_presets(data: bytes) -> None:
    """A message while an exchange of each preset is open: it is the exchange's or it is not, and nothing else."""
    for plan in preset_plans():
        conduct = plan.compiled_template.handshake.connection_rules
        session = ConnectionState(conduct, AMBIENT, {}, {})
        exchanges = Dispatcher("counter", lambda: "u")
        exchange = exchanges.open(plan.rules, session.scope(args={}, tool="t"))
        framer = make_framer(conduct.framing)
        for raw in (text_of(data), data):
            for message in framer.decode(raw):
                session.process(message, lambda value: None)
                exchanges.receive(message)
        for message in exchange.received:
            try:
                extract_result(plan, exchange, message)
            except (ToolError, InvalidReply) as failed:
                str(failed)


def expression_parsers() -> Iterator[Parser]:
    """Those parsers."""
    yield Parser("expression", accept_expression, seeds.EXPRESSIONS, (InvalidTemplate, EvaluationError), cost=4)
    yield Parser("template", accept_template, seeds.TEMPLATES, (InvalidTemplate, RenderError, ValueError), cost=4)
    yield Parser("message under presets", accept_under_presets, seeds.as_bytes(*_answers()), cost=20)


def _answers() -> list[Any]:
    """Messages that mean something to one of the presets: `request_id` is 1."""
    return [
        {"jsonrpc": "2.0", "id": 1, "result": {"a": 1}},
        {"id": 1, "type": "result", "success": True, "result": None},
        {"op": 7, "d": {"requestId": "1", "requestStatus": {"result": False, "code": 600, "comment": "no"}}},
        {"type": "tool_response", "request_id": "1", "result": [1]},
        {"type": "next", "id": "1", "payload": {"data": {}}},
        {"type": "error", "id": "1", "payload": [{"message": "x"}]},
        ["1", "1", "topic", "phx_reply", {"status": "ok", "response": {}}],
        [50, 1, {}, ["r"], {"k": 1}],
        {"type": 3, "invocationId": "1", "result": 5},
        {"janus": "success", "transaction": "1", "data": {"id": 9}},
        {"header": {"msg_type": "execute_reply"}, "parent_header": {"msg_id": "1"}, "content": {"status": "ok"}},
        json.loads('{"id": 1, "error": {"code": 100, "message": "bad"}}'),
        {"id": 1, "connect": {"client": "c", "ping": 25}},
    ]
