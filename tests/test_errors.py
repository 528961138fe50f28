from collections.abc import Iterator

import pytest

import utcp_ws_mcp
from utcp_ws_mcp import errors as e
from utcp_ws_mcp.client.discovery import DiscoveryTimeout

NOT_SENT = e.Outcome.NOT_SENT
PERHAPS = e.Outcome.MAYBE_EXECUTED

SENTENCES = [
    (e.BridgeError("anything"), "anything"),
    (e.ManifestError("the author's"), "the author's"),
    (e.PolicyError("the operator's"), "the operator's"),
    (e.CallError("the caller's"), "the caller's"),
    (e.NetworkError("the network's"), "the network's"),
    (
        e.InvalidManifest("a.json", [e.Problem("[0].url", "is required"), e.Problem("", "is empty")]),
        "a.json: [0].url: is required\na.json: is empty",
    ),
    (
        e.InternalError("stocks.quote", KeyError("s3cret")),
        "a defect of utcp-ws-mcp (KeyError) at stocks.quote; please report it",
    ),
    (e.InvalidTemplate("'{{' never ends"), "'{{' never ends"),
    (
        e.MissingVariable(["KEY"], "stocks"),
        'stocks: KEY is not set; set it in the environment, in a .env file beside the manifest, or under "variables"',
    ),
    (
        e.MissingVariable(["KEY", "HOST"], "stocks"),
        (
            "stocks: KEY, HOST are not set; set them in the environment, in a .env file beside the manifest, "
            'or under "variables"'
        ),
    ),
    (e.ForbiddenURL("there is no port 0"), "there is no port 0"),
    (
        e.ForbiddenAddress("db.example", "10.0.0.7", "private"),
        (
            "db.example resolves to 10.0.0.7, a private address; if that is intended, add "
            '"network": {"allow": ["private"]} to its call template'
        ),
    ),
    (
        e.ForbiddenAddress("169.254.169.254", "169.254.169.254", "link-local"),
        (
            "169.254.169.254 is a link-local address; if that is intended, add "
            '"network": {"allow": ["169.254.169.254"]} to its call template'
        ),
    ),
    (
        e.ForbiddenRedirect("wss://a.example/ws", 302),
        "wss://a.example/ws answered with a redirect (HTTP 302); write the final URL into the manifest",
    ),
    (e.ForbiddenHeader("Host", "belongs to the handshake"), "header 'Host' belongs to the handshake"),
    (
        e.ServeOptionsError("cannot listen on [::1]:80: Permission denied"),
        "cannot listen on [::1]:80: Permission denied",
    ),
    (e.InstallError("mcp.json: expected an object"), "mcp.json: expected an object"),
    (e.UnknownTool("stocks.qoute", "stocks.quote"), "there is no tool 'stocks.qoute'; did you mean 'stocks.quote'?"),
    (e.UnknownTool("zzz"), "there is no tool 'zzz'; list the tools to see their names"),
    (e.InvalidArguments("a.b", "argument 'x' is missing"), "a.b: argument 'x' is missing"),
    (e.ToolError("a.b", "no such symbol", {"code": 4}), "no such symbol"),
    (e.InvalidReply("a.b", "the reply is not JSON", "<html>"), "a.b: the reply is not JSON: <html>"),
    (e.InvalidReply("a.b", "the reply is not JSON"), "a.b: the reply is not JSON"),
    (
        e.MessageTooBig("wss://a.example/", 16777216, PERHAPS),
        (
            "wss://a.example/ sent a message of more than 16,777,216 bytes; "
            'ask for less, or raise "limits": {"max_message_bytes": …} in its call template; '
            "the request was sent and may have been executed; check before you repeat it"
        ),
    ),
    (
        e.CallTimeout("a.b", 30.0, e.TimeoutStage.REPLY, PERHAPS),
        "a.b: no reply came within 30 s; the request was sent and may have been executed; check before you repeat it",
    ),
    (
        e.CallTimeout("a.b", 30.0, e.TimeoutStage.REPLY, PERHAPS, last_message='{"ID": 1}'),
        (
            'a.b: no reply came within 30 s; the last message that came was {"ID": 1}; '
            "the request was sent and may have been executed; check before you repeat it"
        ),
    ),
    (
        e.CallTimeout("a.b", 0.5, e.TimeoutStage.POOL, NOT_SENT),
        "a.b: there was no connection within 0.5 s; no request was sent",
    ),
    (
        e.ConnectError("wss://a.example/", "connection refused"),
        "cannot connect to wss://a.example/: connection refused",
    ),
    (
        e.HandshakeRejected("wss://a.example/", 401, "check its auth"),
        "cannot connect to wss://a.example/: the upgrade was answered with HTTP 401; check its auth",
    ),
    (
        e.HandshakeRejected("wss://a.example/", 400, "check the path", ": no such room"),
        "cannot connect to wss://a.example/: the upgrade was answered with HTTP 400: no such room; check the path",
    ),
    (
        e.HandshakeRejected("wss://a.example/", 503),
        "cannot connect to wss://a.example/: the upgrade was answered with HTTP 503",
    ),
    (
        e.ConnectionLost("wss://a.example/", "1006, no close frame", PERHAPS, ["one", "two"]),
        (
            "the connection to wss://a.example/ was lost after 2 items (1006, no close frame); "
            "the request was sent and may have been executed; check before you repeat it"
        ),
    ),
    (
        e.ConnectionLost("wss://a.example/", "it was closing", NOT_SENT),
        "the connection to wss://a.example/ was lost (it was closing); no request was sent",
    ),
    (
        e.TokenRequestError("https://a.example/token", "HTTP 400, invalid_client"),
        "no token from https://a.example/token: HTTP 400, invalid_client",
    ),
    (
        DiscoveryTimeout("stocks", 20.0),
        (
            "stocks: no UTCP manual came within 20 s; "
            'if the endpoint does not speak UTCP, write its tools into the manifest ("tools": […])'
        ),
    ),
]

WHO_MUST_ACT = [
    (e.ManifestError, (e.InvalidManifest, e.InvalidTemplate, e.MissingVariable)),
    (e.PolicyError, (e.ForbiddenURL, e.ForbiddenAddress, e.ForbiddenRedirect, e.ForbiddenHeader)),
    (e.PolicyError, (e.ServeOptionsError, e.InstallError)),
    (e.CallError, (e.UnknownTool, e.InvalidArguments, e.ToolError, e.InvalidReply, e.MessageTooBig, e.CallTimeout)),
    (e.NetworkError, (e.ConnectError, e.HandshakeRejected, e.ConnectionLost, e.TokenRequestError)),
]

ALSO = [
    (e.CallError, RuntimeError),
    (e.CallTimeout, TimeoutError),
    (e.NetworkError, ConnectionError),
    (e.HandshakeRejected, e.ConnectError),
]


def descendants(error: type[e.BridgeError]) -> Iterator[type[e.BridgeError]]:
    for child in error.__subclasses__():
        yield child
        yield from descendants(child)


@pytest.mark.parametrize(("error", "sentence"), SENTENCES, ids=lambda value: type(value).__name__)
def test_an_error_says_what_failed_and_what_to_do(error, sentence):
    assert str(error) == sentence


def test_every_error_class_stands_in_the_table():
    ours = {kind for kind in descendants(e.BridgeError) if kind.__module__.startswith(utcp_ws_mcp.__name__)}

    assert ours | {e.BridgeError} == {type(error) for error, _ in SENTENCES}


@pytest.mark.parametrize(("group", "members"), WHO_MUST_ACT, ids=lambda value: getattr(value, "__name__", ""))
def test_an_error_belongs_to_the_one_group_that_must_act(group, members):
    groups = [e.ManifestError, e.PolicyError, e.CallError, e.NetworkError]

    assert {member: [known for known in groups if issubclass(member, known)] for member in members} == {
        member: [group] for member in members
    }


@pytest.mark.parametrize(("error", "builtin"), ALSO, ids=lambda value: value.__name__)
def test_an_error_can_be_caught_as_its_builtin_kin(error, builtin):
    assert issubclass(error, builtin)


def test_an_error_keeps_its_data():
    items = ["one"]
    lost = e.ConnectionLost("wss://a.example/", "gone", PERHAPS, items)
    items.append("two")

    assert (lost.address, lost.close_reason, lost.outcome, lost.partial) == (
        "wss://a.example/",
        "gone",
        PERHAPS,
        ("one",),
    )
    assert e.ToolError("a.b", "no", {"code": 4}).payload == {"code": 4}
    assert e.ForbiddenAddress("h", "10.0.0.7", "private").address == "10.0.0.7"
    assert e.HandshakeRejected("wss://a.example/", 401).status == 401
    assert e.CallTimeout("a.b", 30, e.TimeoutStage.REPLY, NOT_SENT).outcome is NOT_SENT


@pytest.mark.parametrize(
    "error", [e.ConnectError, e.HandshakeRejected, e.TokenRequestError], ids=lambda kind: kind.__name__
)
def test_a_call_that_got_no_connection_was_not_sent(error):
    assert error.outcome is NOT_SENT
