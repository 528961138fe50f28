"""A value of a call cannot change another part of a header."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.core.templates.header_rule import render_header
from utcp_ws_mcp.core.templates.nodes import RenderError

AMBIENT = Ambient(lambda: datetime(2026, 1, 1, tzinfo=UTC), bytes)
COMPILER = Compiler({}, names=frozenset({"args", "session", "let", "omit"}))


def render(template, **args):
    scope = Scope(AMBIENT, {"args": args, "session": {"kept": args.get("x")}, "let": args})
    return render_header(tuple(COMPILER.parts(template)), scope)


REFUSED = [
    ("sid={{ args.x }}; role=guest", "1; role=admin", "';'"),
    ("role=guest; sid=UTCP_ARG_x_UTCP_ARG", "1; role=admin", "';'"),
    ("sid={{ let.x }}; role=guest", "1; role=admin", "';'"),
    ("sid={{ session.kept }}; role=guest", "1; role=admin", "';'"),
    ("a, {{ args.x }}, b", "c, admin", "','"),
    ("a, {{ args.x }}, b", ["c", "admin"], "'\"'|','"),
    ("Bearer {{ args.x }}", "t, Basic abc", "','"),
    ('Digest username="{{ args.x }}", realm="r"', 'a", realm="x', "'\"'"),
    ('Digest username="{{ args.x }}", realm="r"', "a\\", r"'.+'"),
    ('a="b", c={{ args.x }}', 'd"', "'\"'"),
]


@pytest.mark.parametrize(("template", "value", "sign"), REFUSED)
def test_a_value_that_would_end_its_part_of_a_header_is_refused(template, value, sign):
    with pytest.raises(RenderError, match=rf"contains ({sign}), which would end it in this header\. ") as refused:
        render(template, x=value)
    assert refused.value.code == "argument-breaks-message"
    assert "| verbatim }}" in str(refused.value)


ALLOWED = [
    ("{{ args.x }}", "a=1; b=2", "a=1; b=2"),
    ("a; {{ args.x | verbatim }}", "b; c", "a; b; c"),
    ('v="{{ args.x }}"', "a, b; c", 'v="a, b; c"'),
    ("sid={{ session.kept }}", "a,b", "sid=a,b"),
    ("Bearer {{ args.x }}", "abc.def-ghi_jkl+/=", "Bearer abc.def-ghi_jkl+/="),
    ("page {{ args.x }}", 7, "page 7"),
    ("a {{ args.x | default(omit) }}", None, None),
]


@pytest.mark.parametrize(("template", "value", "header"), ALLOWED)
def test_other_values_are_sent_as_they_are(template, value, header):
    assert render(template, **({} if value is None else {"x": value})) == header


def items(header):
    """Read a header as RFC 9110 section 5.6 says: items behind `;` and `,` outside of quotes."""
    found, quoted, escaped = [""], False, False
    for char in header:
        if quoted and char == "\\" and not escaped:
            escaped = True
            found[-1] += char
            continue
        if char == '"' and not escaped:
            quoted = not quoted
        if char in ";," and not quoted:
            found.append("")
        else:
            found[-1] += char
        escaped = False
    return found


TEMPLATES = ["a={{ args.x }}; b=1", "b=1, {{ args.x }}", 'u="{{ args.x }}", r="s"', 'r="s"; u={{ args.x }}']


@pytest.mark.parametrize("template", TEMPLATES)
@settings(max_examples=100, deadline=None, database=None)
@given(st.text(st.sampled_from('ab;,"\\ =')))
def test_a_header_has_as_many_items_as_its_template_shows_whatever_the_argument(template, value):
    try:
        header = render(template, x=value)
    except RenderError:
        return
    assert len(items(header)) == 2
    assert [item for item in items(header) if "b=1" in item or 'r="s"' in item][-1].strip() in ("b=1", 'r="s"')
