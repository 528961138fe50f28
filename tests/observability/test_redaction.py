import base64
import json
from pathlib import PurePath
from time import process_time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.message import REDACTION_WINDOW, excerpt
from utcp_ws_mcp.core.expressions.expression import Expression
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.secret_names import REDACTED
from utcp_ws_mcp.manifest.variables import VariableResolver
from utcp_ws_mcp.observability import redaction, secret_search
from utcp_ws_mcp.observability.redaction import Redactor, redactor

FUZZ = settings(max_examples=150, deadline=None, database=None)
SECRET = 'p@ss "w\\ord/+1'

FORMS = {
    "plain": SECRET,
    "percent-encoded": quote(SECRET, safe=""),
    "form-encoded": quote_plus(SECRET),
    "JSON-escaped": json.dumps(SECRET)[1:-1],
    "JSON in JSON": json.dumps(json.dumps(SECRET))[3:-3],
    "JSON in JSON in JSON": json.dumps(json.dumps(json.dumps(SECRET)))[7:-7],
    "percent-encoded in part": quote(SECRET),
    "percent-encoded in lower case": quote(SECRET, safe="").lower(),
    "a Python literal": repr(SECRET + "'")[1:-2],
    "hex": SECRET.encode().hex(),
    "hex in capitals": SECRET.encode().hex().upper(),
    "base64": base64.b64encode(SECRET.encode()).decode().rstrip("="),
}


def secrets_of(*entries, variables=None):
    manifest = load_document(list(entries), VariableResolver([variables or {}]), "m.json", PurePath())
    return [value for entry in manifest.entries for value in redaction.secrets_of(entry).values]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_hidden_in_every_form(form):
    shown = redactor([SECRET])(f"before {form} after")

    assert form not in shown
    assert REDACTED in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@pytest.mark.parametrize("before", ["", "u", "us", "user:"], ids=lambda text: f"{len(text)} bytes before")
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"], ids=lambda text: f"{len(text)} bytes after")
def test_a_secret_is_hidden_inside_a_longer_base64_text(before, after):
    encoded = base64.b64encode(f"{before}{SECRET}{after}".encode()).decode()

    assert len(redactor([SECRET])(encoded).replace(REDACTED, "")) <= len(encoded) - 16


def test_the_shortest_secret_is_hidden_in_base64_wherever_it_starts():
    encoded = base64.b64encode(b"ab" + b"S3cret" + b"z").decode()

    assert REDACTED in redactor(["S3cret"])(encoded)


def test_a_secret_of_several_lines_is_hidden_in_json():
    secret = "-----BEGIN KEY-----\nabcdef\n"

    assert "abcdef" not in redactor([secret])(json.dumps({"key": secret}))


def test_a_secret_that_is_not_ascii_is_hidden_in_ascii_json():
    assert REDACTED in redactor(["pässwörd"])(json.dumps("pässwörd"))


def test_a_secret_with_bytes_that_are_not_utf_8_is_hidden_too():
    secret = b"caf\xe9-caf\xe9".decode("utf-8", "surrogateescape")

    assert redactor([secret])(f"<{secret}>") == f"<{REDACTED}>"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_removed_before_a_text_is_cut(form):
    for before in range(200):
        shown = excerpt("." * before + form + "." * 200, redact=redactor([SECRET]))

        assert form[:6] not in shown
        assert shown.startswith("." * before)


def test_a_secret_is_removed_before_binary_data_is_cut():
    for before in range(24):
        shown = excerpt(b"\0" * before + SECRET.encode() + b"\xff" * 30, redact=redactor([SECRET]))

        assert SECRET[:6].encode().hex() not in shown
        assert shown.startswith(f"{before + len(SECRET) + 30} bytes of binary data, 0x{'00' * before}*")


def test_a_secret_that_the_window_of_redaction_splits_is_not_shown():
    secret = "abcdefgh" * 500
    text = secret * 100

    assert len(text) > REDACTION_WINDOW
    assert "abcdefgh" not in excerpt(text, redact=redactor([secret]))


def test_texts_are_left_alone_where_nothing_is_secret():
    assert redactor([])("before after") == "before after"
    assert redactor(["abc", "12345"])("abc 12345") == "abc 12345"


def test_the_longer_of_two_secrets_is_hidden_whole():
    assert redactor(["secret", "secret-and-more"])("a secret-and-more b") == f"a {REDACTED} b"


def test_a_secret_is_no_pattern():
    assert redactor(["a.c.e.g"])("abcdefg a.c.e.g") == f"abcdefg {REDACTED}"


@FUZZ
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=6), st.text(), st.text())
def test_a_secret_never_comes_through(secret, before, after):
    shown = redactor([secret])(before + secret + after)

    assert secret not in shown.replace(REDACTED, "\0")


@FUZZ
@given(st.binary(max_size=5), st.text(st.characters(codec="ascii"), min_size=8, max_size=40), st.binary(max_size=5))
def test_a_secret_never_comes_through_in_base64(before, secret, after):
    encoded = base64.b64encode(before + secret.encode() + after).decode()

    assert REDACTED in redactor([secret])(encoded)


CREDENTIALS = [
    ({"auth_type": "api_key", "api_key": "key-123456"}, ["key-123456"]),
    (
        {"auth_type": "basic", "username": "ann", "password": "pass-123456"},
        ["pass-123456", base64.b64encode(b"ann:pass-123456").decode()],
    ),
    (
        {"auth_type": "oauth2", "token_url": "https://a.example/t", "client_id": "id", "client_secret": "cs-123456"},
        ["cs-123456"],
    ),
]


@pytest.mark.parametrize(("auth", "secrets"), CREDENTIALS, ids=[auth["auth_type"] for auth, _ in CREDENTIALS])
def test_credentials_are_secret(auth, secrets):
    assert secrets_of({"url": "wss://a.example/", "auth": auth}) == secrets


def test_credentials_of_a_tool_are_secret():
    auth = {"auth_type": "api_key", "api_key": "key-123456"}
    tool = {"name": "t", "tool_call_template": {"url": "wss://b.example/", "auth": auth}}

    assert secrets_of({"name": "m", "tools": [tool]}) == ["key-123456"]


def test_variables_are_secret_wherever_they_are_used():
    entry = {"url": "wss://a.example/?key=${QUERY}", "message": "{{ vars.BODY }}", "headers": {"X-A": "${HEADER}"}}
    variables = {"QUERY": "q-secret", "BODY": "b-secret", "HEADER": "h-secret", "UNUSED": "u-secret"}

    assert sorted(secrets_of(entry, variables=variables)) == ["b-secret", "h-secret", "q-secret"]


def test_what_the_user_set_for_a_manual_is_secret_before_the_manual_asks_for_it():
    assert secrets_of({"name": "my_api", "url": "wss://a.example/"}, variables={"my__api_KEY": "k-secret"}) == [
        "k-secret"
    ]


@pytest.mark.parametrize("url", ["wss://${HOST}/ws", "wss://${HOST}/ws?key=${KEY}"])
def test_a_host_that_a_variable_names_is_an_address_and_shown(url):
    found = secrets_of({"name": "m", "url": url}, variables={"HOST": "api.example", "KEY": "k-secret"})

    assert "api.example" not in found
    assert ("k-secret" in found) == ("KEY" in url)


def test_the_parts_of_a_manifest_do_not_show_their_secrets():
    auth = {"auth_type": "basic", "username": "user-123456", "password": "pass-123456"}
    fields = {
        "headers": {"X-A": "head-123456"},
        "proxy": "http://u:prox-123456@127.0.0.1:1",
        "tls": {"ca_file": "file-123456"},
    }
    manifest = load_document(
        [{"url": "wss://a.example/?k=quer-123456", "auth": auth, **fields}],
        VariableResolver([{}]),
        "m.json",
        PurePath(),
    )

    assert "-123456" not in repr(manifest) + repr(manifest.entries[0].template) + str(manifest.entries[0].template)


def manifest_of(*entries, **variables):
    return load_document(list(entries), VariableResolver([variables]), "m.json", PurePath())


TELLING = {
    "in a header": {"headers": {"X-Anything": "${NAME}"}},
    "in the query of the URL": {"url": "wss://a.example/?k={{ vars.NAME }}"},
    "in a query": {"query": {"k": "{{ vars.NAME }}"}},
    "in the query of a request": {"before_connect": [{"http": {"url": "https://a.example/", "query": {"k": "$NAME"}}}]},
    "in a login step": {"on_connect": [{"send": {"login": "${NAME}"}}]},
    "in a request before": {"before_connect": [{"http": {"url": "https://a.example/", "headers": {"X": "${NAME}"}}}]},
    "in a message under a telling key": {"message": {"deep": [{"accessToken": "{{ vars['NAME'] }}"}]}},
}


@pytest.mark.parametrize("where", TELLING.values(), ids=TELLING)
def test_a_credential_does_not_come_back_in_a_result(where):
    template = {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **where}
    redact = Redactor([manifest_of(template, NAME="kitchen-lamp")])

    assert redact.redact_result("you sent kitchen-lamp") == "you sent ***"


def test_a_parameter_is_redacted_in_the_form_in_which_it_is_sent():
    template = {"name": "m", "url": "wss://a.example/", "query": {"k": "${NAME}"}, "tools": [{"name": "t"}]}
    redact = Redactor([manifest_of(template, NAME="kitchen/lamp&ü=1")])

    assert redact.redact_result("GET /?k=kitchen%2Flamp%26%C3%BC%3D1 failed") == "GET /?k=*** failed"


def test_a_variable_with_the_name_of_a_credential_is_one_wherever_it_stands():
    template = {"name": "m", "url": "wss://a.example/", "message": {"x": "${MY_API_KEY}"}, "tools": [{"name": "t"}]}

    assert Redactor([manifest_of(template, MY_API_KEY="kitchen-lamp")]).redact_result("kitchen-lamp") == "***"


@pytest.mark.parametrize("name", ["USER", "API_USER", "API_USERNAME", "api_user_name", "JANUS_LOGIN", "WAMP_AUTHID"])
def test_a_user_name_is_no_secret(name):
    login = {
        "http": {"url": "https://a.example/", "headers": {"Authorization": f"Basic {{{{ vars.{name} | base64 }}}}"}}
    }
    template = {"name": "m", "url": "wss://a.example/", "before_connect": [login], "tools": [{"name": "t"}]}
    redact = Redactor([manifest_of(template, **{name: "ada.lovelace"})])

    assert redact.redact_result("owned by ada.lovelace") == "owned by ada.lovelace"
    assert redact("owned by ada.lovelace") == "owned by ada.lovelace"


@pytest.mark.parametrize("name", ["USER_TOKEN", "USERKEY", "SUPERUSER_PASSWORD", "ENDUSER"])
def test_a_variable_that_only_speaks_of_a_user_is_a_credential_where_it_logs_in(name):
    template = {"name": "m", "url": "wss://a.example/", "headers": {"X": f"${{{name}}}"}, "tools": [{"name": "t"}]}

    assert Redactor([manifest_of(template, **{name: "kitchen-lamp"})]).redact_result("kitchen-lamp") == "***"


def test_what_a_tool_was_asked_for_stays_in_its_result():
    template = {"name": "m", "url": "wss://a.example/", "message": {"room": "${ROOM}"}, "tools": [{"name": "t"}]}
    redact = Redactor([manifest_of(template, ROOM="kitchen-lamp")])

    assert redact.redact_result("the kitchen-lamp is on") == "the kitchen-lamp is on"
    assert redact("the kitchen-lamp is on") == "the *** is on"


def test_a_fetched_token_is_hidden_from_then_on():
    redact = Redactor([])
    redact.add_tokens("m", ["eyJhbGciOi.token"])

    assert redact("got eyJhbGciOi.token") == redact.redact_result("got eyJhbGciOi.token") == "got ***"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_result_is_searched_for_every_form(form):
    assert form not in redactor([SECRET, "plain-secret"])(f"before {form} after")


@FUZZ
@given(st.text("abcXYZ019_~.-", min_size=6, max_size=20), st.binary(max_size=5), st.sampled_from(["raw", "64", "hex"]))
def test_a_plain_secret_is_found_wherever_it_stands(secret, before, form):
    data = before + secret.encode() + b"!"
    text = {"raw": data.decode("latin-1"), "64": base64.b64encode(data).decode(), "hex": data.hex()}[form]

    assert redactor([secret])(text) == redactor([secret])(text) != text


def test_secrets_that_share_a_part_are_found_in_any_order():
    shown = redactor(["s-12345678", "c-12345678", "12345678"])("s-12345678 x c-12345678 12345678 s-12345678")

    assert shown == f"{REDACTED} x {REDACTED} {REDACTED} {REDACTED}"


def filters_of(secret: str) -> dict[str, str]:
    """Return what the filters of expressions that write text make of a secret, alone and two of them in a row."""
    value = {"args": {"s": secret}}
    names = ["base64", "base64url", "hex", "to_json", "tojson", "urlencode", "upper", "lower", "title", "capitalize"]
    names += ["reverse", "escape", "utf8", "bytes | latin1"]
    chains = [
        *names,
        *(f"to_json | {name}" for name in names if name != "reverse"),
        *(f"{name} | to_json" for name in names),
    ]
    chains += [f"{name} | urlencode" for name in names]
    made = {f"args.s | {chain}": Expression(f"args.s | {chain}", {"args"}).evaluate(value) for chain in chains}
    return {chain: text for chain, text in made.items() if isinstance(text, str)}


CANARIES = [
    "Kx7/aB3+dQ9?zY5&wV1~mN8>>>???",
    "Zürich-Schlüssel-8",
    "q\"u\\o<t>e's&x\n9",
    "plainSecret12345",
    "$2y$10$Xabc/d.ef",
]


@pytest.mark.parametrize("secret", CANARIES)
def test_no_filter_of_expressions_brings_a_secret_through(secret):
    redact = redactor([secret])
    for chain, text in filters_of(secret).items():
        for around in (text, f"before {text} after", json.dumps(f"xy {text}")):
            shown = redact(around).replace(REDACTED, "")
            left = next((text[at : at + 8] for at in range(len(text) - 7) if text[at : at + 8] in shown), None)
            assert left is None or "base64" in chain or "hex" in chain, (chain, text, shown)
            assert REDACTED in redact(around), (chain, text)


ADVERSARIAL = [
    "\\",
    "%25",
    "%",
    "&amp;",
    "&",
    "\\u005c",
    '\\\\"',
    "a",
    "/",
    "+",
    "-",
    " ",
    "\\u00",
    "12345",
    "Kx7/aB3+dQ9?zY5&wV1~mN8>>>??",
]


@pytest.mark.parametrize("run", ADVERSARIAL)
@pytest.mark.parametrize(
    "secret", [*CANARIES, "-----BEGIN KEY-----\nabc\n", "\\\\\\\\\\\\x", '""""""', "      ", "%%%%%%"]
)
def test_the_time_to_redact_grows_with_the_text_whatever_it_is(secret, run):
    """Measured as the processor time for texts of 20,000 and 160,000 characters: 8 times as much, 64 if quadratic."""
    redact = redactor([secret])
    redact(secret)

    def seconds(length):
        text = secret[:-1] + (run * length)[:length] + secret
        started = process_time()
        redact(text)
        return process_time() - started

    assert min(seconds(160_000) for _ in range(2)) < 24 * max(min(seconds(20_000) for _ in range(3)), 0.002)


def test_many_places_of_a_secret_are_all_removed():
    text = " ".join("\\" * (n % 7) + f"kitchen-lamp/{n}" for n in range(20_000))

    assert "kitchen" not in redactor(["kitchen-lamp"])(text)


def test_parts_of_a_secret_alone_are_shown_however_many_there_are():
    text = "kitchen " * 5_000

    assert redactor(["kitchen-lamp"])(text) == text


def test_tokens_of_one_endpoint_do_not_make_those_of_another_visible():
    redact = Redactor()
    redact.add_tokens("good", ["LiveTokenOfGood-0123456789"])
    for number in range(500):
        redact.add_tokens("bad", [f"ticket-{number}-{index}" for index in range(100)])

    assert redact.redact_result("your bearer is LiveTokenOfGood-0123456789") == "your bearer is ***"
    assert redact.redact_result("ticket-499-0 ticket-0-0") == "*** ticket-0-0"


def test_the_tokens_of_all_connections_that_an_endpoint_can_have_are_remembered():
    redact = Redactor()
    for number in range(200):
        redact.add_tokens("m", [f"ticket-number-{number}"], 100)

    assert redact("ticket-number-1 ticket-number-199") == "*** ***"


def test_a_credential_that_is_a_word_stays_in_sentences_of_this_program():
    template = {"name": "m", "url": "wss://a.example/", "headers": {"X-Key": "${API_KEY}"}, "tools": [{"name": "t"}]}
    redact = Redactor([manifest_of(template, API_KEY="bridge")])

    assert redact.guard("closed by utcp-ws-mcp") == "closed by utcp-ws-mcp"
    assert redact.redact_result("the key is bridge") == "the key is ***"


def test_json_stays_json_where_a_secret_stands_behind_an_escape():
    text = json.dumps("C:\\kitchen-lamp\nkitchen-lamp\\")

    assert json.loads(redactor(["kitchen-lamp"])(text)) == "C:***\n***\\"
    assert json.loads(redactor(["name-of-it"])(json.dumps("\name-of-it"))) is not None


def digest_of(number):
    return base64.b64encode(f"{number * 7919:x}".encode() * 9)[:32].decode()


def test_many_secrets_in_a_long_text_are_found_without_compiling_the_pattern_of_each(monkeypatch):
    secrets = [digest_of(number) for number in range(256)]
    redact, compiled = redactor(secrets), []
    redact("x")
    monkeypatch.setattr(secret_search, "_contains", compiled.append)
    filler = "lorem ipsum dolor sit amet, " * 140

    assert redact("".join(filler + each for each in secrets)) == f"{filler}***" * 256
    assert compiled == []


def test_the_time_to_redact_grows_with_the_number_of_secrets_in_a_text():
    """Measured as the processor time for 32 and for 256 secrets: 8 times as much, 64 if quadratic."""

    def seconds(count):
        secrets = [digest_of(number) for number in range(count)]
        redact, text = redactor(secrets), "".join("lorem ipsum " * 300 + each for each in secrets)
        redact("x")
        started = process_time()
        redact(text)
        return process_time() - started

    assert min(seconds(256) for _ in range(2)) < 24 * max(min(seconds(32) for _ in range(3)), 0.002)


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title, str.capitalize])
@pytest.mark.parametrize("length", [12, 129, 1_400, 9_000])
def test_a_secret_of_any_length_is_hidden_in_another_case_by_each_search(change, length):
    secret = "".join(digest_of(number) for number in range(300))[:length]
    template = {"name": "m", "url": "wss://a.example/", "headers": {"X-Key": "${API_KEY}"}, "tools": [{"name": "t"}]}
    redact = Redactor([manifest_of(template, API_KEY=secret)])
    redact.add_tokens("m", [secret[::-1]])

    for search in (redact, redact.redact_result, redact.guard):
        assert search(f"<{change(secret)}>") == "<***>"
        assert search(f"<{change(secret[::-1])}>") == "<***>"


@pytest.mark.parametrize("secret", ["+/" * 4_000, "-" * 3_000, "ä+" * 2_000, "aB+/" * 5_000, "\\b/" * 1_000])
@pytest.mark.parametrize("write", [str, json.dumps, quote, lambda text: json.dumps(json.dumps(text))])
def test_a_very_long_secret_is_hidden_whole_however_many_signs_it_has(secret, write):
    shown = redactor([secret])(f"before {write(secret)} after")

    assert set(shown.removeprefix("before ").removesuffix(" after")) <= set('*"\\')
    assert len(shown) < 400


def test_tokens_of_signs_neither_break_nor_slow_the_search_however_many_an_endpoint_sends():
    redact = Redactor()
    tokens = ["".join("+/-_!$"[number >> shift & 3] for shift in range(0, 24, 2)) * 3 for number in range(1, 1_025)]
    for start in range(0, 1_024, 16):
        redact.add_tokens("bad", tokens[start : start + 16])
    started = process_time()
    assert redact(f"<{tokens[0]}> <{tokens[-1]}>") == "<***> <***>"
    compiling = process_time() - started
    started = process_time()
    redact("lorem ipsum " * 80_000)

    assert process_time() - started < compiling


def test_the_tokens_of_an_endpoint_that_are_remembered_have_a_bound_in_characters():
    redact = Redactor()
    for number in range(20):
        redact.add_tokens("bad", ["".join(digest_of(number * 3_000 + part) for part in range(2_000))])
    token = "".join(digest_of(19 * 3_000 + part) for part in range(2_000))

    assert redact(f"<{token}>") == "<***>"
    assert sum(map(len, redact._tokens["bad"]._secrets)) < 1 << 20


@pytest.mark.parametrize("longer", ["secret-andmore1", "x1-secret", "12345678-secret-12345678"])
@pytest.mark.parametrize("write", [str, quote, lambda text: text.replace("-", "\\u002d")])
def test_a_secret_that_contains_another_one_is_hidden_whole_wherever_its_longest_part_is(longer, write):
    assert redactor(["secret", longer])(f"<{write(longer)}>") == "<***>"
