"""What holds of every template and all arguments: laws, each in one sentence, with what it is tried on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from utcp_ws_mcp.core.codecs.framing import make_framer
from utcp_ws_mcp.core.codecs.message import decode, encode
from utcp_ws_mcp.core.expressions.scope import Scope
from utcp_ws_mcp.core.handshake_request import HandshakeTemplate
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.core.templates.nodes import RenderError, to_text
from utcp_ws_mcp.errors import PolicyError
from utcp_ws_mcp.manifest.models.framing import Framing

from .expressions import AMBIENT
from .parsers import entry

NAMES: Final = ("a", "ab", "b")
"""Arguments; one is the beginning of another."""

REQUEST_ID: Final = "the id of this exchange"
_SCALARS = st.characters(exclude_categories=["Cs"])
_TRICKY = st.sampled_from(
    ("UTCP_ARG_a_UTCP_ARG", "UTCP_ARG_b_UTCP_ARG", "{{ args.b }}", "{{ request_id }}", "${X}", '"}', '", "id": "', "\\")
)
TEXT = st.text(_SCALARS, max_size=12) | _TRICKY | st.text('"\\{}[]:,\n\0\x1e\u2028/.?#@%', max_size=8)
PLAIN = TEXT.filter(lambda text: not any(sign in text for sign in ("UTCP_ARG_", "{{", "${"))).map(
    lambda text: "-" + text
)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
ARGUMENTS = st.fixed_dictionaries(dict.fromkeys(NAMES, JSON))


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A place of a template that an argument fills."""

    name: str

    @property
    def typed(self) -> str:
        """As an expression, which keeps the type."""
        return f"{{{{ args.{self.name} }}}}"

    @property
    def text(self) -> str:
        """As a UTCP placeholder, which gives text."""
        return f"UTCP_ARG_{self.name}_UTCP_ARG"


PLACEHOLDERS = st.sampled_from(NAMES).map(Placeholder)
LEAVES = PLACEHOLDERS | PLAIN | NUMBERS | st.none() | st.booleans()
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3), max_leaves=6
).filter(lambda tree: isinstance(tree, dict | list))


@dataclass(frozen=True, slots=True)
class Law:
    """A sentence that is true, what it is tried on, and how; `check` raises AssertionError where it is not."""

    statement: str
    strategy: SearchStrategy[Any]
    check: Callable[[Any], None]


def fill(template: Any, arguments: dict[str, Any], typed: bool = False) -> Any:
    """The message of a local template."""
    scope = Scope(AMBIENT, {"args": arguments, "request_id": REQUEST_ID, "tool": "t", "session": {}, "vars": {}})
    return Compiler({}, typed=typed).message(template).render(scope)


def written(tree: Any, text: bool = False) -> Any:
    """A tree with its holes as a manifest has them."""
    if isinstance(tree, Placeholder):
        return tree.text if text else tree.typed
    if isinstance(tree, dict):
        return {key: written(item, text) for key, item in tree.items()}
    return [written(item, text) for item in tree] if isinstance(tree, list) else tree


def model(tree: Any, arguments: dict[str, Any], text: bool = False) -> Any:
    """What a tree must become: by looking at its structure only."""
    if isinstance(tree, Placeholder):
        return to_text(arguments[tree.name]) if text else arguments[tree.name]
    if isinstance(tree, dict):
        return {key: model(item, arguments, text) for key, item in tree.items()}
    return [model(item, arguments, text) for item in tree] if isinstance(tree, list) else tree


def as_json_text(tree: Any) -> str:
    """A tree as a text of JSON, with its holes bare."""
    if isinstance(tree, Placeholder):
        return tree.text
    if isinstance(tree, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{as_json_text(item)}" for key, item in tree.items()) + "}"
    return "[" + ",".join(map(as_json_text, tree)) + "]" if isinstance(tree, list) else json.dumps(tree)


def same(one: Any, other: Any) -> bool:
    """Equal in value and in type, at every depth."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def _parsed_is_the_model(drawn: Any) -> None:
    tree, arguments = drawn
    assert same(json.loads(encode(fill(written(tree), arguments))), model(tree, arguments))


def _text_is_the_model(drawn: Any) -> None:
    tree, arguments = drawn
    assert same(json.loads(encode(fill(written(tree, text=True), arguments))), model(tree, arguments, text=True))


def _typed_is_the_model(drawn: Any) -> None:
    tree, arguments = drawn
    assert same(fill(written(tree, text=True), arguments, typed=True), model(tree, arguments))


def _no_other_leaf(drawn: Any) -> None:
    tree, arguments, name, other = drawn
    before, after = (fill(written(tree), {**arguments, name: value}) for value in (arguments[name], other))
    kept = {**arguments, name: None}
    assert same(_without(tree, name, before), _without(tree, name, after))
    assert same(_without(tree, name, before), model(tree, kept))


def _without(tree: Any, name: str, value: Any) -> Any:
    """A filled tree with null in the holes of one argument."""
    if isinstance(tree, Placeholder):
        return None if tree.name == name else value
    if isinstance(tree, dict):
        assert list(tree) == list(value), "the keys have changed"
        return {key: _without(item, name, value[key]) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_without(item, name, part) for item, part in zip(tree, value, strict=True)]
    return value


def _deterministic(drawn: Any) -> None:
    tree, arguments = drawn
    assert encode(fill(written(tree), arguments)) == encode(fill(written(tree), dict(reversed(arguments.items()))))


def _no_placeholder_left(drawn: Any) -> None:
    tree, arguments = drawn
    text = encode(fill(written(tree, text=True), dict.fromkeys(arguments, "-")))
    assert "UTCP_ARG_" not in text
    assert "{{" not in text


def _json_text_is_the_model(drawn: Any) -> None:
    tree, arguments = drawn
    assert same(json.loads(fill(as_json_text(tree), arguments)), json.loads(json.dumps(model(tree, arguments))))


def _documents_stay_apart(drawn: Any) -> None:
    trees, separator, arguments = drawn
    filled = fill("".join(as_json_text(tree) + separator for tree in trees), arguments)
    documents = [json.loads(part) for part in filled.split(separator) if part]
    assert same(documents, json.loads(json.dumps([model(tree, arguments) for tree in trees])))


def _text_is_concatenated(drawn: Any) -> None:
    parts, arguments = drawn
    template = "x" + "".join(part.text if isinstance(part, Placeholder) else part for part in parts)
    expected = "x" + "".join(to_text(arguments[part.name]) if isinstance(part, Placeholder) else part for part in parts)
    try:
        filled = fill(template, arguments)
    except RenderError as refused:
        if refused.code != "argument-breaks-message":
            raise
        return  # an argument that could end itself is refused, and never sent in another form
    assert filled == expected


def _scalars_come_back(text: str) -> None:
    (sent,) = make_framer(Framing()).encode(
        fill({"k": Placeholder("a").typed, "t": "<" + Placeholder("a").text + ">"}, {"a": text})
    )
    assert decode(sent).value == {"k": text, "t": f"<{text}>"}


def _framed_is_one_message(drawn: Any) -> None:
    tree, arguments = drawn
    framer = make_framer(Framing(separator="\x1e"))
    (sent,) = framer.encode(fill(written(tree), arguments))
    assert [message.value for message in framer.decode(sent)] == [model(tree, arguments)]


def _id_belongs_to_exchange(drawn: Any) -> None:
    tree, arguments = drawn
    hostile = {**arguments, "request_id": "forged", "id": "forged"}
    message = {"id": "{{ request_id }}", "params": written(tree), "all": "{{ args }}", "tail": "{{ request_id }}"}
    sent = json.loads(encode(fill(message, hostile)))
    assert (sent["id"], sent["tail"], list(sent)) == (REQUEST_ID, REQUEST_ID, list(message))


def _url_keeps_its_place(drawn: Any) -> None:
    arguments = drawn
    try:
        url, _, _ = _endpoint().render_parts(Scope(AMBIENT, {"args": arguments, "session": {}, "vars": {}}))
    except (RenderError, PolicyError):
        return
    assert parse_url(f"wss://{url.authority}{url.target}") == url
    assert url.origin == ("wss", "own.example", 443)
    segments = url.path.split("/")
    assert (len(segments), segments[1], segments[3]) == (5, "x", "y")
    assert segments[4].startswith(".")
    assert not {".", ".."} & set(segments)
    assert [pair.partition("=")[0] for pair in url.query.split("&")] == ["q", "r"]
    assert len(url.query.split("&")) == 2


def _query_has_each_value(arguments: dict[str, Any]) -> None:
    values = [(name, arguments[name] if isinstance(arguments[name], list) else [arguments[name]]) for name in NAMES]
    pairs = [(name, each) for name, listed in values for each in listed if each is not None]
    has_a_form = not any(isinstance(each, dict | list) for _, each in pairs)
    try:
        url, _, _ = _asking().render_parts(Scope(AMBIENT, {"args": arguments, "session": {}, "vars": {}}))
    except RenderError:
        if has_a_form:
            raise
        return
    assert has_a_form
    assert (url.origin, url.path) == (("wss", "own.example", 443), "/x")
    expected = [("v", "2"), *((name, to_text(each)) for name, each in pairs)]
    assert parse_qsl(url.query, keep_blank_values=True, strict_parsing=True) == expected


def _endpoint() -> HandshakeTemplate:
    a, ab, b = (Placeholder(name).text for name in NAMES)
    return _compiled(url=f"wss://own.example/x/{{{{ args.a }}}}{b}/y/.{ab}?q={a}&r={b}")


def _asking() -> HandshakeTemplate:
    return _compiled(url="wss://own.example/x?v=2", query={name: f"{{{{ args.{name} }}}}" for name in NAMES})


def _compiled(**fields: Any) -> HandshakeTemplate:
    from utcp_ws_mcp.core.tools.catalog import compile_entry

    if fields["url"] not in _ENDPOINTS:
        (plan,), _ = compile_entry(entry(**fields, tools=[{"name": "t"}]))
        _ENDPOINTS[fields["url"]] = plan.compiled_template.handshake
    return _ENDPOINTS[fields["url"]]


_ENDPOINTS: Final[dict[str, HandshakeTemplate]] = {}
_FILLED = st.tuples(TREES, ARGUMENTS)


def laws() -> Iterator[Law]:
    """All of them."""
    yield Law("A filled template, sent and parsed, is its structural model.", _FILLED, _parsed_is_the_model)
    yield Law("A UTCP placeholder becomes the text of its argument.", _FILLED, _text_is_the_model)
    yield Law("With typed_arguments every argument keeps its type.", _FILLED, _typed_is_the_model)
    others = st.tuples(TREES, ARGUMENTS, st.sampled_from(NAMES), JSON)
    yield Law("An argument changes no leaf but its own, and no key.", others, _no_other_leaf)
    yield Law("The same arguments give the same bytes.", _FILLED, _deterministic)
    yield Law("No placeholder is left unless an argument held it.", _FILLED, _no_placeholder_left)
    yield Law("A text of JSON stays JSON with every argument in its place.", _FILLED, _json_text_is_the_model)
    documents = st.tuples(st.lists(TREES, min_size=1, max_size=3), st.sampled_from(["\n", "\x1e"]), ARGUMENTS)
    yield Law("Several documents stay as many, each with its arguments in place.", documents, _documents_stay_apart)
    parts = st.tuples(st.lists(PLAIN | PLACEHOLDERS, max_size=5), ARGUMENTS)
    yield Law("A plain text is its parts, or is refused, and no argument is scanned.", parts, _text_is_concatenated)
    yield Law("Every Unicode scalar value comes back.", st.text(_SCALARS, max_size=50), _scalars_come_back)
    yield Law("A framed message is one message.", _FILLED, _framed_is_one_message)
    yield Law("No argument changes a correlation id.", _FILLED, _id_belongs_to_exchange)
    urls = st.fixed_dictionaries(dict.fromkeys(NAMES, TEXT | NUMBERS | st.sampled_from([".", "..", "", "/", "%2e"])))
    yield Law("An argument in a URL stays in its place.", urls, _url_keeps_its_place)
    yield Law("A query has each value of its arguments, in order.", ARGUMENTS, _query_has_each_value)
