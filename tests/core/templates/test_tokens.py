"""The tokens of a template."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.core.templates.tokens import (
    ExpressionToken,
    LiteralToken,
    PlaceholderToken,
    Token,
    VariableToken,
    has_placeholders,
    has_tokens,
    tokenize,
)
from utcp_ws_mcp.errors import InvalidTemplate

L, V, P, E = LiteralToken, VariableToken, PlaceholderToken, ExpressionToken
TOKENS: dict[str, list[Token]] = {
    "": [],
    "a": [L("a")],
    "${A}": [V("A")],
    "a${A}b": [L("a"), V("A"), L("b")],
    "${A}${B_1}": [V("A"), V("B_1")],
    "$${A}": [L("${"), L("A}")],
    "a$${": [L("a"), L("${")],
    "${1}": [L("${1}")],
    "$A": [L("$A")],
    "UTCP_ARG_a_UTCP_ARG": [P("a")],
    "<UTCP_ARG_a b_UTCP_ARG>": [L("<"), P("a b"), L(">")],
    "UTCP_ARG__UTCP_ARG": [L("UTCP_ARG__UTCP_ARG")],
    f"UTCP_ARG_{'n' * 256}_UTCP_ARG": [P("n" * 256)],
    f"UTCP_ARG_{'n' * 257}_UTCP_ARG": [L(f"UTCP_ARG_{'n' * 257}_UTCP_ARG")],
    "{{ a }}": [E(" a ")],
    "x{{a}}y{{ b }}": [L("x"), E("a"), L("y"), E(" b ")],
    "{{ '}}' }}!": [E(" '}}' "), L("!")],
    "{{ '${A}' }}${B}": [E(" '${A}' "), V("B")],
    "a } {b": [L("a } {b")],
}


@pytest.mark.parametrize(("text", "tokens"), TOKENS.items(), ids=TOKENS)
def test_a_template_is_cut_into_its_tokens(text: str, tokens: list[Token]) -> None:
    assert list(tokenize(text, variables=True)) == tokens


FROM_THE_NETWORK: dict[str, list[Token]] = {
    "a ${A} $${B}": [L("a ${A} $${B}")],
    "${A}{{ b }}": [L("${A}"), E(" b ")],
    "${A}UTCP_ARG_a_UTCP_ARG${B}": [L("${A}"), P("a"), L("${B}")],
}


@pytest.mark.parametrize(("text", "tokens"), FROM_THE_NETWORK.items(), ids=FROM_THE_NETWORK)
def test_without_variables_their_signs_are_text(text: str, tokens: list[Token]) -> None:
    assert list(tokenize(text, variables=False)) == tokens


def test_what_a_text_may_contain_is_known() -> None:
    for text in ("${A}", "$${", "UTCP_ARG_a_UTCP_ARG", "a {{ b }}", "{{"):
        assert has_tokens(text)
    for text in ("", "a", "$A", "}}", "{ {"):
        assert not has_tokens(text)
        assert not has_placeholders(text)
    assert has_placeholders("${A} {{ b }}")
    assert has_placeholders("${A} UTCP_ARG_a_UTCP_ARG")
    assert not has_placeholders("${A} $${")


CLOSE_IT = "Close it with }}; for two literal braces write {{ '{{' }}."
UNCLOSED = {
    "no end": ("a {{ b", f"'{{{{ b' {CLOSE_IT}"),
    "a long one": ("a {{ " + "b" * 60, f"'{{{{ {'b' * 39}' {CLOSE_IT}"),
    "a quote": (
        "{{ 'it's' }}",
        "\"{{ 'it's' }}\" A quote in it has no end. Inside of '…' write \\x27 (in JSON \\\\x27).",
    ),
    "a double quote": (
        '{{ "a"" }}',
        '\'{{ "a"" }}\' A quote in it has no end. Inside of "…" write \\x22 (in JSON \\\\x22).',
    ),
    "a quote without an end of the expression": ("{{ 'a", f'"{{{{ \'a" {CLOSE_IT}'),
    "a brace": ("{{ {'a': 1 }}", f"\"{{{{ {{'a': 1 }}}}\" {CLOSE_IT}"),
    "a quote before it": ("' {{ b", f"'{{{{ b' {CLOSE_IT}"),
}


@pytest.mark.parametrize(("text", "message"), UNCLOSED.values(), ids=UNCLOSED)
def test_an_expression_that_never_ends_is_refused_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(InvalidTemplate) as refused:
        list(tokenize(text, variables=True))
    assert refused.value.message.replace("opens an expression that never ends. ", "") == message
    assert refused.value.code == "unclosed-expression"
