"""The option --caller-variable, and the values that headers bring."""

import pytest

from utcp_ws_mcp.errors import CallerValueMissing, CallerValueRefused, ServeOptionsError
from utcp_ws_mcp.server.auth.caller_variables import MAX_VARIABLES, CallerVariables, parse_caller_variables

TOKEN = CallerVariables({"API_TOKEN": "X-Api-Token", "TENANT": "X-Tenant"})


def test_options_name_variables_and_headers():
    parsed = parse_caller_variables(["API_TOKEN=X-Api-Token", "OTHER=X-Api-Token"])
    assert parsed is not None
    assert parsed.headers == {"API_TOKEN": "X-Api-Token", "OTHER": "X-Api-Token"}
    assert parse_caller_variables([]) is None


@pytest.mark.parametrize(
    "option",
    ["API_TOKEN", "API_TOKEN=", "=X-A", "1A=X-A", "A=X A", "A=X\r\nB", "A=X:B", "A=" + "x" * 65]
    + [f"A={name}" for name in ("Authorization", "COOKIE", "Host", "Mcp-Session-Id", "Content-Type", "Sec-X", "Via")],
)
def test_an_option_that_is_malformed_or_names_a_header_of_http_is_refused(option):
    with pytest.raises(ServeOptionsError, match=r"(?s)--caller-variable .*\[invalid-caller-variable\]"):
        parse_caller_variables([option])


def test_a_variable_has_one_header_and_their_number_is_bounded():
    with pytest.raises(ServeOptionsError, match="A comes from X-A already"):
        parse_caller_variables(["A=X-A", "A=X-B"])
    options = [f"A{number}=X-A" for number in range(MAX_VARIABLES)]
    assert parse_caller_variables(options) is not None
    with pytest.raises(
        ServeOptionsError, match=f"--caller-variable B=X-B: at most {MAX_VARIABLES} variables are possible"
    ):
        parse_caller_variables([*options, "B=X-B"])


def take(*headers):
    return TOKEN.take("m.t", frozenset({"API_TOKEN"}), TOKEN.read(headers))


def test_the_value_of_its_header_is_taken_and_others_are_not_looked_at():
    assert take((b"x-api-token", b" key-of-ada\t"), (b"x-tenant", b"\xff"), (b"x-other", b"x")) == {
        "API_TOKEN": "key-of-ada"
    }


def test_one_header_may_bring_two_variables():
    variables = CallerVariables({"A": "X-Key", "B": "X-KEY", "C": "X-Other"})
    given = variables.read([(b"x-key", b"key-of-ada")])
    assert variables.take("m.t", frozenset({"A", "B"}), given) == {"A": "key-of-ada", "B": "key-of-ada"}
    with pytest.raises(CallerValueMissing, match="has no header X-Other. "):
        variables.take("m.t", frozenset({"A", "C"}), given)


def test_a_missing_header_is_named_and_nothing_else():
    with pytest.raises(CallerValueMissing) as missing:
        take((b"x-tenant", b"secret-tenant"))
    assert str(missing.value) == (
        "m.t was not called: the request has no header X-Api-Token. Send it with your own value. [caller-value-missing]"
    )


@pytest.mark.parametrize(
    "values",
    [[b"key-of-ada", b"key-of-bob"], [b"short"], [b"Bearer key-of-ada"], [b"k\xc3\xa4y-of-ada"], [b"key,of,ada"]],
)
def test_a_value_that_is_ambiguous_or_not_usable_is_refused_without_being_shown(values):
    with pytest.raises(CallerValueRefused, match=r"the header X-Api-Token is not usable") as refused:
        take(*((b"x-api-token", value) for value in values))
    assert not any(value.decode("latin-1") in str(refused.value) for value in values)


def test_values_are_in_no_repr():
    assert "key-of-ada" not in repr(TOKEN)
