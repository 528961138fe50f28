"""Which texts are scopes (RFC 6749 section 3.3)."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.errors import ServeOptionsError
from utcp_ws_mcp.server.auth.scopes import is_scope, parse_tool_scopes


@pytest.mark.parametrize("text", ["a", "tools:read", "https://a.example/scope?x=1#y", "!", "~", "[]"])
def test_printable_characters_of_ascii_are_a_scope(text: str) -> None:
    assert is_scope(text)


@pytest.mark.parametrize("text", ["", " ", "a b", 'a"b', "a\\b", "a\x7f", "a\n", "ü"])
def test_blanks_quotes_backslashes_and_other_letters_are_in_no_scope(text: str) -> None:
    assert not is_scope(text)
    with pytest.raises(ServeOptionsError, match="expected SCOPE=GLOB"):
        parse_tool_scopes([f"{text}=m.*"])
