"""The values of callers: removed from what is logged, for as long as they are in use, and hiding nothing else."""

from pathlib import PurePath

from utcp_ws_mcp.manifest.caller_variables import ANY_CALLER
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import CallerValues, VariableResolver
from utcp_ws_mcp.observability.redaction import Redactor, SinkRedactor

MANIFEST = {
    "name": "m",
    "url": "wss://a.example/",
    "headers": {"X-Key": "${caller:KEY}", "X-Own": "${OWN_KEY}"},
    "tools": [{"name": "t"}],
}


def redactor(callers):
    resolver = VariableResolver([{"OWN_KEY": "own-of-operator"}], callers=callers)
    return Redactor([load_document([MANIFEST], resolver, "m.json", PurePath("/m"))])


def test_a_value_of_a_caller_is_a_credential_whatever_its_name_is():
    own = redactor(CallerValues({"KEY": "key-of-ada"}.get))
    for redact in (own, own.redact_result, own.guard):
        assert redact("key-of-ada own-of-operator") == "*** ***"


def test_a_stand_in_is_no_secret():
    shared = redactor(ANY_CALLER)
    assert shared.guard("caller.KEY own-of-operator") == "caller.KEY ***"


def test_sinks_hide_the_secrets_of_the_callers_that_are_there():
    sinks, ada = SinkRedactor(redactor(ANY_CALLER)), redactor(CallerValues({"KEY": "key-of-ada"}.get))
    ada.add_tokens("m", ["token-of-ada-123"])
    text = "key-of-ada token-of-ada-123 own-of-operator"
    assert sinks.guard(text) == "key-of-ada token-of-ada-123 ***"
    sinks.add(ada)
    assert (sinks.guard(text), sinks(text)) == ("*** *** ***", "*** *** ***")
    sinks.remove(ada)
    assert sinks.guard(text) == "key-of-ada token-of-ada-123 ***"
