"""An argument in a text message cannot change another part of it."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.binary import Binary
from utcp_ws_mcp.core.codecs.framing import make_framer
from utcp_ws_mcp.core.expressions.paths import UNDEFINED
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.manifest.models.framing import Framing

AMBIENT = Ambient(lambda: datetime(2026, 1, 1, tzinfo=UTC), bytes)


SESSION_VALUES = [
    "{{ session.gone ~ '' }}",
    "{{ session.gone ~ ':' ~ session.kept }}",
    {"a": "{{ session.gone | upper }}"},
    {"a": "x {{ session.gone ~ '' }}"},
    ["{{ session.gone | sha256 | hex }}"],
]


@pytest.mark.parametrize("template", SESSION_VALUES, ids=map(str, SESSION_VALUES))
def test_a_value_that_the_connection_has_not_saved_is_an_error_also_inside_of_an_expression(template):
    with pytest.raises(RenderError) as refused:
        render(template, kept="k")
    assert refused.value.code == "value-missing"


@pytest.mark.parametrize("source", ["session.gone | default('x')", "session.gone ~ 'x' if session.gone else 'x'"])
def test_an_expression_may_say_what_happens_without_a_value_of_the_connection(source):
    assert render(f"{{{{ {source} }}}}", kept="k") == "x"


def render(template, separator="", **args):
    scope = Scope(AMBIENT, {"args": args, "request_id": 7, "session": {"kept": args.get("kept")}, "let": args})
    names = frozenset({"args", "request_id", "session", "let"})
    return Compiler({}, names=names, separator=separator).message(template).render(scope)


def refusal(template, separator="", **args):
    with pytest.raises(RenderError) as refused:
        render(template, separator, **args)
    assert refused.value.code == "argument-breaks-message"
    return str(refused.value)


NATS = "PUB {{ args.subject }} {{ args.payload | byte_length }}\r\n{{ args.payload }}\r\n"
IRC = "PRIVMSG {{ args.channel }} :{{ args.text }}\r\n"
XML = "<message to='{{ args.to }}'><body>{{ args.text | escape }}</body></message>"
RAW_XML = '<message to="{{ args.to }}"><body>Hi {{ args.text }}!</body></message>'
SIP = "INVITE sip:{{ args.user }}@{{ args.host }} SIP/2.0\r\nTo: <sip:{{ args.user }}@{{ args.host }}>\r\n\r\n"
REDIS = "SET {{ args.key }} {{ args.value }}\r\n"
FIELDS = "CMD:UTCP_ARG_c_UTCP_ARG;DEVICE:UTCP_ARG_d_UTCP_ARG;VALUE:UTCP_ARG_v_UTCP_ARG"
QUOTED = 'FIND "{{ args.q }}" LIMIT 5'
SQL = "SELECT * FROM t WHERE name = '{{ args.name }}'"
JOINED = "{{ 'PUB ' ~ args.subject ~ ' ' ~ (args.payload | byte_length) ~ '\\r\\n' ~ args.payload ~ '\\r\\n' }}"

BROKEN = {
    "two publications": (
        NATS,
        {"subject": "a 2\r\nxx\r\nPUB b", "payload": "x"},
        "argument 'subject' contains a carriage",
    ),
    "a blank that becomes the reply-to": (
        NATS,
        {"subject": "a reply", "payload": "x"},
        "argument 'subject' contains a blank",
    ),
    "a line break in the payload": (NATS, {"subject": "a", "payload": "x\r\nPUB b 1\r\ny"}, "| verbatim }}"),
    "a second IRC command": (IRC, {"channel": "#a", "text": "x\r\nQUIT"}, "argument 'text' contains a carriage return"),
    "a second target": (IRC, {"channel": "#a #b", "text": "x"}, "argument 'channel' contains a blank"),
    "a NUL": (IRC, {"channel": "#a", "text": "x\0y"}, "contains NUL"),
    "another control character": (IRC, {"channel": "#a", "text": "x\x1by"}, "the control character U+001B"),
    "a line separator": (IRC, {"channel": "#a", "text": "x\u2028y"}, "the control character U+2028"),
    "an attribute": (XML, {"to": "a' type='groupchat", "text": "x"}, "{{ args.to | escape }}"),
    "an element without escape": (
        RAW_XML,
        {"to": "a", "text": "</body></message><presence/>"},
        "{{ args.text | escape }}",
    ),
    "an entity without escape": (RAW_XML, {"to": "a", "text": "&x;"}, "contains '&'"),
    "a SIP header": (SIP, {"user": "a>\r\nX: y", "host": "h"}, "argument 'user' contains a carriage return"),
    "another SIP host": (SIP, {"user": "a", "host": "h SIP/2.0"}, "argument 'host' contains a blank"),
    "a second Redis argument": (REDIS, {"key": "k v", "value": "x"}, "argument 'key' contains a blank"),
    "a second field": (FIELDS, {"c": "SET;VALUE:99", "d": "1", "v": "2"}, "argument 'c' contains ';'"),
    "the end of a quoted text": (QUOTED, {"q": 'x" OR "y'}, "argument 'q' contains '\"'"),
    "an escaped end": (QUOTED, {"q": "x\\"}, "contains '\\\\'"),
    "a statement": (SQL, {"name": "x'; DROP TABLE t; --"}, "argument 'name' contains \"'\""),
    "in an expression": (JOINED, {"subject": "a 2\r\nxx\r\nPUB b", "payload": "x"}, "argument 'subject' contains"),
    "through let": ("PUB {{ let.s }} 1\r\nx", {"s": "a b"}, "{{ let.s }} contains a blank"),
    "through session": ("JOIN {{ session.kept }}\r\n", {"kept": "#a\r\nQUIT"}, "{{ session.kept }} contains"),
    "through a filter": ("JOIN {{ args.c | upper }}\r\n", {"c": "#a\r\nQUIT"}, "contains a carriage return"),
    "in an object": ("SEND {{ args.o }}", {"o": ["\x7f"]}, "the control character U+007F"),
}


@pytest.mark.parametrize(("template", "args", "reason"), BROKEN.values(), ids=BROKEN)
def test_an_argument_that_would_change_another_part_is_refused(template, args, reason):
    assert reason in refusal(template, **args)


KEPT = {
    "a chat text with blanks": (
        IRC,
        {"channel": "#a", "text": "hello, you: a | b"},
        "PRIVMSG #a :hello, you: a | b\r\n",
    ),
    "the last argument of a line": ("SAY {{ args.t }}", {"t": 'it\'s "x"'}, 'SAY it\'s "x"'),
    "an escaped text": (XML, {"to": "a@b", "text": "1 < 2\n"}, "<message to='a@b'><body>1 &lt; 2\n</body></message>"),
    "verbatim": ("PUT {{ args.t | verbatim }}\r\n", {"t": "a\r\nb"}, "PUT a\r\nb\r\n"),
    "verbatim in an expression": ("{{ 'PUT ' ~ (args.t | verbatim) }}", {"t": "a\r\nb"}, "PUT a\r\nb"),
    "a separator that stands on another line": (
        "SET {{ args.a }}\r\nPUT {{ args.b }},{{ args.c }}",
        {"a": "1,2", "b": "3", "c": "4"},
        "SET 1,2\r\nPUT 3,4",
    ),
    "a number": ("GOTO {{ args.x }},{{ args.y }}", {"x": 1.5, "y": -2}, "GOTO 1.5,-2"),
    "what no call brings": ("SUB {{ request_id }} {{ args.s }}", {"s": "a"}, "SUB 7 a"),
    "a whole message": ("{{ args.t }}", {"t": "a\nb"}, "a\nb"),
    "a whole UTCP placeholder": ("UTCP_ARG_t_UTCP_ARG", {"t": "a\nb"}, "a\nb"),
    "a command before a semicolon": ("{{ args.c }}; echo END", {"c": "ls; pwd | wc"}, "ls; pwd | wc; echo END"),
    "inside of JSON": ('{"a": "{{ args.t }}", "b": 1}', {"t": 'x\r\n"'}, '{"a": "x\\r\\n\\"", "b": 1}'),
    "in an object": ({"a": "to {{ args.t }}"}, {"t": "x\r\n"}, {"a": "to x\r\n"}),
}


@pytest.mark.parametrize(("template", "args", "text"), KEPT.values(), ids=KEPT)
def test_an_argument_that_changes_nothing_is_sent_as_it_is(template, args, text):
    assert render(template, **args) == text


@pytest.mark.parametrize(
    "template", ["SAY {{ args.t }}", "{{ args.t }}", "UTCP_ARG_t_UTCP_ARG", '{"a": "{{ args.t }}"}']
)
@pytest.mark.parametrize("separator", ["|", "END", "\x1e"])
def test_no_argument_holds_the_separator_of_messages(template, separator):
    if separator.isprintable() or not template.startswith('{"'):
        assert refusal(template, separator, t=f"a{separator}b")
    assert "ab" in render(template, separator, t="ab")


@given(st.text(alphabet="ab \r\n\0\t;:<>&\"'\\|\u2028\x85", max_size=10), st.text(alphabet="ab \r\n;'", max_size=6))
@pytest.mark.parametrize("template", [NATS, IRC, XML, RAW_XML, SIP, REDIS, FIELDS, QUOTED, SQL, JOINED])
def test_whatever_the_arguments_the_lines_and_parts_of_a_text_stay_the_same(template, one, other):
    """Compare the structure of a message with that of the same template and harmless arguments."""
    names = re.findall(r"args\.(\w+)|UTCP_ARG_(\w)_UTCP_ARG", template)
    names = sorted({first or second for first, second in names})
    try:
        text = render(template, **{name: (one, other)[index % 2] for index, name in enumerate(names)})
    except RenderError:
        return
    plain = render(template, **dict.fromkeys(names, "x"))

    def structure(message):
        if template.startswith("<"):
            return re.sub("[^<>]|'", "", message), message.count('"')
        quotes = message.count('"') if template == QUOTED else message.count("'") if template == SQL else 0
        return message.count("\r"), message.count("\n"), quotes, message.count(";") if template == FIELDS else 0

    assert structure(text) == structure(plain)
    assert "\0" not in text


CODECS = {
    "stomp": {
        "command": "SEND",
        "headers": {"destination": "{{ args.a }}", "x": "{{ args.b }}"},
        "body": "{{ args.c }}",
    },
    "socketio4": {
        "type": "event",
        "namespace": "/x",
        "id": 1,
        "data": ["{{ args.a }}", "{{ args.b }}", "{{ args.c }}"],
    },
    "mqtt": {"type": "publish", "topic": "t/{{ args.a }}", "payload": "{{ args.b }}{{ args.c }}"},
    "json": {"a": "{{ args.a }}", "b": {"c": "{{ args.b }}"}, "d": "x{{ args.c }}"},
    "msgpack": {"a": "{{ args.a }}", "b": {"c": "{{ args.b }}"}, "d": "x{{ args.c }}"},
}
SIGNS = st.text(alphabet='ab \r\n\0:\\,/{}[]"-+#4\u2028', max_size=10)


@given(SIGNS, SIGNS, SIGNS)
@pytest.mark.parametrize("codec", CODECS)
def test_whatever_the_arguments_a_codec_writes_one_message_that_means_them(codec, a, b, c):
    framer = make_framer(Framing(codec=codec))
    value = render(CODECS[codec], a=a, b=b, c=c)
    try:
        sent = framer.encode(value)
    except ValueError:
        return  # refused by the codec, with its reason

    read = [message.value for each in sent for message in framer.decode(each)]
    assert len(read) == 1
    expected = dict(value)
    got = {name: read[0][name] for name in expected if name != "headers"}
    assert got == {name: each for name, each in expected.items() if name != "headers"}
    assert value.get("headers", {}).items() <= read[0].get("headers", {}).items()


REFUSED_BY_CODECS = {
    "a wildcard in what is published": ("mqtt", {"type": "publish", "topic": "home/#", "payload": ""}, "wildcard"),
    "NUL in a topic": ("mqtt", {"type": "publish", "topic": "a\0b", "payload": ""}, "NUL"),
    "a line break in a command": ("stomp", {"command": "SEND\nX:y", "headers": {}}, "command"),
    "NUL in a header": ("stomp", {"command": "SEND", "headers": {"destination": "a\0b"}}, "NUL"),
    "a comma in a namespace": ("socketio4", {"type": "event", "namespace": "/a,9[]", "data": []}, "namespace"),
    "an id that is no number": ("socketio4", {"type": "event", "id": '1["x"]', "data": []}, "id"),
}


@pytest.mark.parametrize(("codec", "value", "reason"), REFUSED_BY_CODECS.values(), ids=REFUSED_BY_CODECS)
def test_a_codec_refuses_what_its_text_cannot_hold(codec, value, reason):
    with pytest.raises(ValueError, match=reason):
        make_framer(Framing(codec=codec)).encode(value)


def is_refused(template, **args):
    try:
        render(template, **args)
    except RenderError as error:
        return error.code == "argument-breaks-message"
    return False


SIGNS_TO_TRY = " ,;:|/=&\"'`\\<>#.a\n\r\0\t\x1b\x7f\x85\u2028"
BREAKS = "\n\r\0\t\x1b\x7f\x85\u2028"
REFUSED_SIGNS = {
    "{{ args.a }}": "",
    "SAY {{ args.a }}": BREAKS,
    "{{ args.a }} x": BREAKS + " ",
    "{{ args.a }} ": BREAKS,
    "{{ args.a }} \nx": BREAKS,
    "{{ args.a }} {{ args.b }}": BREAKS + " ",
    "{{ args.a }},x": BREAKS,
    "{{ args.a }},{{ args.b }}": BREAKS + ",",
    "{{ args.b }},{{ args.a }}": BREAKS,
    "{{ args.a }},{{ request_id }}": BREAKS + ",",
    "{{ args.a }}, {{ args.b }}": BREAKS + ",",
    "{{ args.a }}\n,{{ args.b }}": BREAKS,
    "{{ args.a }},\r{{ args.b }}": BREAKS,
    "{{ args.a }},\0{{ args.b }}": BREAKS,
    "{{ args.a }}{{ args.b }}": BREAKS,
    "{{ args.a }}{{ args.b }},x": BREAKS,
    "{{ args.a }}.{{ args.b }}": BREAKS,
    **{f"x {{{{ args.a }}}}{sign}{{{{ args.b }}}}": BREAKS + sign for sign in ",;:|/=&"},
    '"{{ args.a }}"': BREAKS + '"\\',
    "'{{ args.a }}' x": BREAKS + "'\\",
    "`{{ args.a }}`": BREAKS + "`\\",
    "\"{{ args.a }}'": BREAKS,
    '{{ args.a }}"': BREAKS,
    '"x{{ args.a }}"': BREAKS,
    '{{ args.b }}"{{ args.a }}"': BREAKS + '"\\',
    ",{{ args.a }},{{ args.b }}": BREAKS + ",",
    "<a>{{ args.a }}</a>": "\0\x1b\x7f<>&\"'",
    "<a>{{ args.a | escape }}</a>": "\0\x1b\x7f",
    " \n<a b='{{ args.a }}'/>": "\0\x1b\x7f<>&\"'",
    "<?xml?>{{ args.a }}": "\0\x1b\x7f<>&\"'",
    "< {{ args.a }}": BREAKS,
    "x <a>{{ args.a }}": BREAKS,
    "{{ args.b }}<a>{{ args.a }}</a>": BREAKS,
    "<a>{{ args.a | upper }}</a>": "\0\x1b\x7f<>&\"'",
    "<a>{{ args.a | base64 }}</a>": "",
    "SAY {{ args.a | verbatim }} x": "",
    "SAY {{ (args.a | verbatim) ~ '' }} x": BREAKS + " ",
    "SAY UTCP_ARG_a_UTCP_ARG x": BREAKS + " ",
    "SAY {{ let.a }} x": BREAKS + " ",
    "{{ 'SAY ' ~ args.a }}": BREAKS,
    "{{ 'SAY ' ~ args.a ~ ' x' }}": BREAKS + " ",
    "{{ ('SAY ' ~ args.a) ~ (' x') }}": BREAKS + " ",
    "{{ 'SAY' + args.a }}": "",
}


@pytest.mark.parametrize(("template", "refused"), REFUSED_SIGNS.items(), ids=REFUSED_SIGNS)
def test_exactly_the_signs_that_would_end_a_value_are_refused(template, refused):
    found = [sign for sign in SIGNS_TO_TRY if is_refused(template, a=f"x{sign}y", b="b")]
    assert sorted(found) == sorted(refused)


MESSAGES = {
    "a blank": ("{{ args.a }} x", "a b", "argument 'a' contains a blank", "args.a | verbatim"),
    "a tab": ("x {{ args.a }}", "\t", "argument 'a' contains a tab", "args.a | verbatim"),
    "the first of several": ("x {{ args.a }} y", " \n", "argument 'a' contains a line feed", "args.a | verbatim"),
    "a sign": ("UTCP_ARG_a_UTCP_ARG,{{ args.b }}", "x,y", "argument 'a' contains ','", "args.a | verbatim"),
    "a number": ("x {{ args.a }}", "\x07", "argument 'a' contains the control character U+0007", "args.a | verbatim"),
    "a computed value": (
        "x {{ args.a ~ '!' }}",
        "\r",
        "{{ args.a ~ '!' }} contains a carriage return",
        "args.a ~ '!' | verbatim",
    ),
    "a part": ("x {{ args.a.b[0] }}", {"b": ["\0"]}, "argument 'a.b.0' contains NUL", "args.a.b[0] | verbatim"),
    "a sign of XML": ("<a>{{ args.a }}</a>", "<", "argument 'a' contains '<'", "args.a | escape"),
    "a control character in XML": (
        "<a>{{ args.a | e }}</a>",
        "\x01",
        "{{ args.a | e }} contains the control character U+0001",
        "args.a | e | verbatim",
    ),
}


@pytest.mark.parametrize(("template", "value", "reason", "allowed"), MESSAGES.values(), ids=MESSAGES)
def test_the_reason_names_the_value_the_sign_and_what_to_write(template, value, reason, allowed):
    fix = f"Remove it; to allow it here, the manifest writes {{{{ {allowed} }}}}."
    assert refusal(template, a=value, b="b") == f"{reason}, which would end it in this message. {fix}"


def test_the_separator_is_refused_in_the_name_of_its_sign():
    assert "argument 'a' contains 'END', which would end it" in refusal("x {{ args.a }}", "END", a="xENDy")
    assert "argument 'a' contains the control character U+001E" in refusal("{{ args.a }}", "\x1e", a="\x1e")
    assert "contains a line feed" in refusal("x {{ args.a }}", "END", a="END\n")


@pytest.mark.parametrize("value", [5, 1.5, True, -2])
def test_a_number_holds_nothing_that_ends_it(value):
    assert render("{{ args.a }}.{{ args.b }}{{ request_id }}", separator="-", a=value, b="") is not None
    assert render("{{ 'x' ~ args.a }}", separator="-", a=value) is not None


def test_what_is_no_text_is_checked_as_it_is_written():
    with pytest.raises(RenderError):
        render("x {{ args.a }},{{ args.b }}", a=[1, 2], b="x")
    assert render("x {{ args.a }}|{{ args.b }}", a=[1, 2], b="x") == "x [1, 2]|x"
    assert render("{{ args.a }}", a=["\n"]) == ["\n"]


def test_operands_of_a_message_that_is_joined_need_their_values():
    for template in ("{{ 'a' ~ args.gone }}", "{{ 'a' ~ session.gone }}"):
        with pytest.raises(RenderError, match=r"missing|has no value"):
            render(template)
    assert render("{{ 'a' ~ args.x ~ (args.gone | default('-')) ~ 1 ~ true }}", x=1.5) == "a1.5-1True"
    with pytest.raises(RenderError) as refused:
        render("{{ 'a' ~ (args.x | unhex) }}", x="ff")
    assert refused.value.code == "binary-in-text"


@pytest.mark.parametrize("value", [b"\xff", Binary(b"\xff"), [Binary(b"\xff")]], ids=["bytes", "decoded", "in a list"])
def test_bytes_are_no_operands_of_a_message_that_is_joined(value):
    with pytest.raises(RenderError, match="text cannot contain binary data") as refused:
        render("{{ 'a' ~ args.x }}", x=value)
    assert refused.value.code == "binary-in-text"


def test_omit_cannot_leave_out_a_whole_message():
    names = frozenset({"args", "omit"})
    node = Compiler({}, names=names).message("x {{ args.a | default(omit) }}")
    assert node.render({"args": {"a": 1}, "omit": UNDEFINED}) == "x 1"
    with pytest.raises(RenderError) as refused:
        node.render({"args": {}, "omit": UNDEFINED})
    assert (str(refused.value), refused.value.code) == (
        "omit cannot leave out a whole message. Write a default.",
        "value-missing",
    )


def test_a_long_text_is_refused_while_it_is_written(monkeypatch):
    monkeypatch.setattr("utcp_ws_mcp.core.templates.nodes.MAX_VALUE_LENGTH", 10)
    assert render("SAY {{ args.a }}{{ args.b }}", a="x" * 5, b="y" * 5) == "SAY xxxxxyyyyy"
    with pytest.raises(RenderError) as refused:
        render("SAY {{ args.a }}{{ args.b }}", a="x" * 5, b="y" * 6)
    assert refused.value.code == "value-too-large"


def test_a_value_of_the_manifest_may_hold_any_sign():
    node = Compiler({}, names=frozenset({"args", "vars"})).message("x {{ vars.V }} {{ args.a }}")
    assert node.render({"args": {"a": "b"}, "vars": {"V": "1 2\n"}}) == "x 1 2\n b"


def test_a_member_that_is_named_like_a_filter_escapes_nothing():
    assert "{{ [args.a][0].e }} contains '<'" in refusal("<a>{{ [args.a][0].e }}</a>", a={"e": "<"})


def test_all_arguments_are_named_as_they_are_written():
    assert "{{ args }} contains the control character U+007F" in refusal("x {{ args }}", a="\x7f")


def test_a_missing_value_is_said_with_the_whole_message():
    for template in ("x {{ args.gone }}", "{{ 'x' ~ args.gone }}"):
        with pytest.raises(RenderError, match="^argument 'gone' is missing"):
            render(template)
    with pytest.raises(RenderError, match=r"^\{\{ 'x' ~ session\.gone \}\} has no value\.$"):
        render("{{ 'x' ~ session.gone }}")


def test_the_first_character_of_a_separator_names_it():
    assert "the control character U+001E" in refusal("{{ args.a }}", "\x1e\x1f", a="\x1e\x1f")


def test_a_message_that_is_one_value_keeps_its_type():
    assert render("{{ args.a }}", separator="-", a=5) == 5
    assert render("{{ [args.a] }}", a=1) == [1]
    assert render("{{ (args.a + args.b) ~ 'x' }}", a=1, b=2) == "3x"
    assert render("{{ args.a - 1 }}", a=1) == 0
