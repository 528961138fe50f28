from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

import utcp_ws_mcp
from utcp_ws_mcp import errors as e

NOT_SENT = e.Outcome.NOT_SENT
PERHAPS = e.Outcome.MAYBE_EXECUTED


def messages() -> list[tuple[e.BridgeError, str]]:
    """Errors with what they say. They are made by each test, so that its coverage has the lines that make them."""
    return [
        (e.BridgeError("anything"), "anything [internal-error]"),
        (e.ManifestError("the author's"), "the author's [internal-error]"),
        (e.PolicyError("the operator's"), "the operator's [internal-error]"),
        (e.CallError("the caller's"), "the caller's [internal-error]"),
        (e.NetworkError("the network's"), "the network's [internal-error]"),
        (
            e.InvalidManifest(
                "a.json",
                [e.Problem("[0].url", "is required.", (3, 5), code="missing-key"), e.Problem("", "is empty.")],
            ),
            "a.json:3:5: [0].url: is required. [missing-key]\na.json: is empty. [invalid-value]",
        ),
        (
            e.InternalError("stocks.quote", KeyError("s3cret")),
            "stocks.quote: internal error (KeyError). Please report this bug with the log. [internal-error]",
        ),
        (
            e.InvalidTemplate("'{{' opens an expression that never ends.", code="unclosed-expression"),
            "'{{' opens an expression that never ends. [unclosed-expression]",
        ),
        (
            e.MissingVariable(["KEY"], "stocks"),
            (
                "stocks: KEY is not set. Set it in the environment, in a .env file beside the manifest, "
                'in a file given with --env-file, or, unless it is a secret, under "variables". [variable-not-set]'
            ),
        ),
        (
            e.MissingVariable(["KEY", "HOST"], "stocks"),
            (
                "stocks: KEY, HOST are not set. Set them in the environment, in a .env file beside the manifest, "
                'in a file given with --env-file, or, unless they are secrets, under "variables". [variable-not-set]'
            ),
        ),
        (
            e.MissingVariable(["request_id"], "stocks"),
            (
                "stocks: request_id is not set. Did you mean {{ request_id }}? "
                "Set it in the environment, in a .env file beside the manifest, "
                'in a file given with --env-file, or, unless it is a secret, under "variables". [variable-not-set]'
            ),
        ),
        (
            e.ApprovalRefused("lab.measure", "it is not withheld"),
            (
                "lab.measure is not approved: it is not withheld. "
                "List the withheld tools again with `utcp-ws-mcp approve`. [approval-refused]"
            ),
        ),
        (
            e.PinStoreError("/state/pins.json", "no space left on device"),
            "the approved tools cannot be saved in /state/pins.json: no space left on device. [pins-not-saved]",
        ),
        (e.ForbiddenURL("the URL has the port 0."), "the URL has the port 0. [invalid-url]"),
        (
            e.ForbiddenAddress("db.example", "10.0.0.7", "private"),
            (
                "db.example: connection blocked because it resolves to the private address 10.0.0.7. To allow it, set "
                '"network": {"allow": ["private"]} in the call template. [address-not-allowed]'
            ),
        ),
        (
            e.ForbiddenAddress("169.254.169.254", "169.254.169.254", "link-local"),
            (
                "169.254.169.254: connection blocked because it is a link-local address. To allow it, set "
                '"network": {"allow": ["169.254.169.254"]} in the call template. [address-not-allowed]'
            ),
        ),
        (
            e.ForbiddenRedirect("wss://a.example/ws", 302),
            (
                "wss://a.example/ws: the server answered with a redirect (HTTP 302). "
                "Write the final URL into the manifest. [redirect-not-followed]"
            ),
        ),
        (
            e.ForbiddenHeader("Host", "this header belongs to the handshake and cannot be set. Remove it."),
            ("header 'Host': this header belongs to the handshake and cannot be set. Remove it. [header-not-allowed]"),
        ),
        (
            e.ServeOptionsError("cannot listen on [::1]:80: permission denied.", code="cannot-listen"),
            "cannot listen on [::1]:80: permission denied. [cannot-listen]",
        ),
        (e.InstallError("mcp.json: expected an object."), "mcp.json: expected an object. [host-file-invalid]"),
        (
            e.ImportFailed("api.json has no methods. Correct the document."),
            "api.json has no methods. Correct the document. [not-a-description]",
        ),
        (
            e.UnknownTool("stocks.qoute", "stocks.quote"),
            "there is no tool 'stocks.qoute'. Did you mean 'stocks.quote'? [unknown-tool]",
        ),
        (
            e.DiscoveryInterrupted("m", "the network connection was cut."),
            (
                "m: the network connection was cut. If the endpoint does not speak UTCP, list its tools in the "
                "manifest "
                '("tools": […]). [connection-lost]'
            ),
        ),
        (e.AuthoringRefused("no."), "no. [invalid-author-arguments]"),
        (e.StudioRefused("there is no connection."), "there is no connection. [invalid-studio-input]"),
        (
            e.HostNotAllowed(["a.example:443"]),
            (
                "no connection to a.example:443: the operator has not allowed it. Ask the person whom you work for; "
                "they "
                "allow it with: utcp-ws-mcp author FOLDER --allow-host a.example:443. [host-not-allowed]"
            ),
        ),
        (
            e.VariableNotAllowed(["KEY"], ["a.example:443"]),
            (
                "nothing is sent: KEY may not be sent to a.example:443, or is not set. Ask the person whom you work "
                "for; "
                "they set it in the environment or with --env-file, and allow it with: --allow-variable "
                "KEY@a.example:443. "
                "[variable-not-allowed]"
            ),
        ),
        (e.UnknownFeed("m.zzz"), "there is no feed 'm.zzz'. The manifest has no feeds. [unknown-feed]"),
        (e.UnknownTool("zzz"), "there is no tool 'zzz'. List the tools to see their names. [unknown-tool]"),
        (
            e.InvalidArguments("a.b", "argument 'x' is missing.", code="argument-missing"),
            "a.b: argument 'x' is missing. [argument-missing]",
        ),
        (e.ToolError("a.b", "no such symbol", {"code": 4}), "the endpoint said: no such symbol [tool-error]"),
        (
            e.InvalidReply("a.b", "the reply is not JSON.", "<html>", code="reply-not-json"),
            "a.b: the reply is not JSON. The endpoint said: “<html>”. [reply-not-json]",
        ),
        (
            e.InvalidReply("a.b", "the reply is not JSON.", code="reply-not-json"),
            "a.b: the reply is not JSON. [reply-not-json]",
        ),
        (
            e.ResultTooLarge("a_b", 11534336, 8388608),
            (
                "a_b: the result has 11,534,336 bytes, more than a message to the host may have (8,388,608). "
                "Call the tool again with arguments that ask for less, such as a filter, fields, a page or a limit. "
                "The author of the manifest can select parts with `reply.result`, or raise `serve --max-line-bytes` "
                "if the host reads longer lines. The request was executed and answered. [result-too-large]"
            ),
        ),
        (
            e.TooManyHeldMessages("wss://a.example/", 1024, PERHAPS),
            (
                "wss://a.example/: more than 1,024 messages, or too large ones, came while the HTTP requests of the "
                "call "
                '(before_message) were under way, so that its reply may be lost. Set "keep_alive": false for a '
                "connection "
                "of its own, or move the requests into before_connect. The request was sent and may have been "
                "executed; "
                "verify before retrying. [too-many-held-messages]"
            ),
        ),
        (
            e.MessageTooBig("wss://a.example/", 16777216, PERHAPS),
            (
                "wss://a.example/: the endpoint sent a message of more than 16,777,216 bytes. "
                'Ask for less, or raise "limits": {"max_message_bytes": …} in the call template. '
                "The request was sent and may have been executed; verify before retrying. [message-too-big]"
            ),
        ),
        (
            e.CallTimeout("a.b", 30.0, e.TimeoutStage.REPLY, PERHAPS),
            (
                "a.b: timed out after 30 s waiting for a reply. "
                "The request was sent and may have been executed; verify before retrying. [reply-timeout]"
            ),
        ),
        (
            e.CallTimeout("a.b", 30.0, e.TimeoutStage.REPLY, PERHAPS, last_message='{"ID": 1}'),
            (
                "a.b: timed out after 30 s waiting for a reply. The last message did not match; "
                'the endpoint said: “{"ID": 1}”. '
                "The request was sent and may have been executed; verify before retrying. [reply-timeout]"
            ),
        ),
        (
            e.CallTimeout(
                "a.b", 30.0, e.TimeoutStage.REPLY, PERHAPS, last_message="hi", fate="was ignored", hint="Do x."
            ),
            (
                "a.b: timed out after 30 s waiting for a reply. The last message was ignored; the endpoint said: “hi”. "
                "Do x. "
                "The request was sent and may have been executed; verify before retrying. [reply-timeout]"
            ),
        ),
        (
            e.CallTimeout("a.b", 30.0, e.TimeoutStage.STREAM, PERHAPS, detail="2 items came"),
            (
                "a.b: timed out after 30 s waiting for the end of the stream: 2 items came. "
                "The request was sent and may have been executed; verify before retrying. [stream-timeout]"
            ),
        ),
        (
            e.IncompleteStream("a.b", "max_items", 1, PERHAPS),
            (
                "a.b: the stream is incomplete: max_items ended it after 1 item before its own end, which "
                '"require_end" asks for. Ask for less, or raise the bound. '
                "The request was sent and may have been executed; verify before retrying. [stream-incomplete]"
            ),
        ),
        (
            e.UnidentifiableReply("a.b", "wss://h/", '{"tick": 1}', NOT_SENT),
            (
                "a.b: wss://h/ sends unsolicited messages, so the first message after the request need not be its "
                "reply. "
                'In the last one, the endpoint said: “{"tick": 1}”. Write "reply": {"match": …} for the reply, '
                '"ignore" '
                'for the other messages, or "stream" if several messages answer the request. No request was sent. '
                "[unsolicited-messages]"
            ),
        ),
        (
            e.ToolError("a.b", "no", shared=True),
            (
                "the endpoint said: “no”. The error names no request: it may mean another one. "
                "The request was sent and may have been executed; verify before retrying. [tool-error]"
            ),
        ),
        (
            e.CallTimeout("a.b", 0.5, e.TimeoutStage.POOL, NOT_SENT),
            "a.b: timed out after 0.5 s waiting for a connection. No request was sent. [pool-timeout]",
        ),
        (
            e.CallTimeout(
                "a.b",
                5,
                e.TimeoutStage.CONNECT,
                NOT_SENT,
                detail=e.ConnectionLost("wss://h/", "gone", NOT_SENT).message,
            ),
            (
                "a.b: timed out after 5 s waiting for a connection: the connection to wss://h/ was lost: gone. "
                "No request was sent. [pool-timeout]"
            ),
        ),
        (
            e.CallTimeout("a.b", 5, e.TimeoutStage.SEND, PERHAPS),
            (
                "a.b: timed out after 5 s waiting for the endpoint to read the request. "
                "The request was sent and may have been executed; verify before retrying. [send-timeout]"
            ),
        ),
        (
            e.CallTimeout("a.b", 5, e.TimeoutStage.LISTEN, NOT_SENT),
            "a.b: timed out after 5 s waiting for a message that matches. No request was sent. [listen-timeout]",
        ),
        (
            e.ConnectError("wss://a.example/", "connection refused.", code="connection-refused"),
            "cannot connect to wss://a.example/: connection refused. [connection-refused]",
        ),
        (
            e.ConnectError("wss://a.example/", "no message matched.", code="login-timeout", step="on_connect[1]"),
            "wss://a.example/: login failed at on_connect[1]: no message matched. [login-timeout]",
        ),
        (
            e.HandshakeRejected("wss://a.example/", 401, 'Check "auth".'),
            (
                "cannot connect to wss://a.example/: the upgrade was answered with HTTP 401. "
                'Check "auth". [handshake-rejected]'
            ),
        ),
        (
            e.HandshakeRejected("wss://a.example/", 400, "Check the path.", ": no such room"),
            (
                "cannot connect to wss://a.example/: the upgrade was answered with HTTP 400: no such room. "
                "Check the path. [handshake-rejected]"
            ),
        ),
        (
            e.HandshakeRejected("wss://a.example/", 503),
            "cannot connect to wss://a.example/: the upgrade was answered with HTTP 503. [handshake-rejected]",
        ),
        (
            e.HandshakeRejected(
                "wss://a.example/", 503, retry_after=e.RetryAfter(30, datetime(2026, 1, 1, 2, tzinfo=UTC))
            ),
            (
                "cannot connect to wss://a.example/: the upgrade was answered with HTTP 503. "
                "The server asks to try again in 30 s, at 02:00:00 UTC. [handshake-rejected]"
            ),
        ),
        (
            e.HttpStepFailed(
                "a.b",
                e.ConnectError("https://a.example/x", "HTTP 403", code="http-step-failed", step="before_message[0]"),
                PERHAPS,
            ),
            (
                "a.b: before_message[0] failed: https://a.example/x: HTTP 403. "
                "The request was sent and may have been executed; verify before retrying. [http-step-failed]"
            ),
        ),
        (
            e.ConnectionLost("wss://a.example/", "1006, no close frame", PERHAPS, ["one", "two"]),
            (
                "the connection to wss://a.example/ was lost after 2 items: 1006, no close frame. "
                "The request was sent and may have been executed; verify before retrying. [connection-lost]"
            ),
        ),
        (
            e.ConnectionLost("wss://a.example/", "it was closing", NOT_SENT),
            "the connection to wss://a.example/ was lost: it was closing. No request was sent. [connection-lost]",
        ),
        (
            e.SessionLost("wss://a.example/", "the page crashed", PERHAPS, ["one"]),
            (
                "the session at wss://a.example/ was lost after 1 item: the page crashed. "
                "The request was sent and may have been executed; verify before retrying. [session-lost]"
            ),
        ),
        (
            e.SessionLost("wss://a.example/", "the page was closed", NOT_SENT),
            (
                "the session at wss://a.example/ was lost: the page was closed. No request was sent. "
                "Call again to use the new session. [session-lost]"
            ),
        ),
        (
            e.TokenRequestError("https://a.example/token", "HTTP 400 (invalid_client)."),
            "no token from https://a.example/token: HTTP 400 (invalid_client). [token-request-failed]",
        ),
        (
            e.DiscoveryTimeout("stocks", 20.0),
            (
                "stocks: timed out after 20 s waiting for the UTCP manual. "
                'If the endpoint does not speak UTCP, list its tools in the manifest ("tools": […]). '
                "[discovery-timeout]"
            ),
        ),
        (
            e.ScopeRequired("m.t", ["a", "b"]),
            (
                "m.t was not called: your access token does not allow it; a token with the scope a or b is needed. "
                "[scope-required]"
            ),
        ),
        (
            e.AuthoringRefused("import_description takes either text or url."),
            "import_description takes either text or url. [invalid-author-arguments]",
        ),
        (
            e.HostNotAllowed(["a.example:443"]),
            (
                "no connection to a.example:443: the operator has not allowed it. Ask the person whom you work for; "
                "they "
                "allow it with: utcp-ws-mcp author FOLDER --allow-host a.example:443. [host-not-allowed]"
            ),
        ),
        (
            e.VariableNotAllowed(["TOKEN"], ["a.example"]),
            (
                "nothing is sent: TOKEN may not be sent to a.example, or is not set. Ask the person whom you work for; "
                "they set it in the environment or with --env-file, and allow it with: --allow-variable "
                "TOKEN@a.example. "
                "[variable-not-allowed]"
            ),
        ),
        (
            e.CallerValueMissing("m.t", ["X-A", "X-B"]),
            (
                "m.t was not called: the request has no header X-A and no header X-B. Send it with your own value. "
                "[caller-value-missing]"
            ),
        ),
        (
            e.CallerValueMissing("m.t"),
            (
                "m.t was not called: it has no caller. Call it through `serve --http --caller-variable`. "
                "[caller-value-missing]"
            ),
        ),
        (
            e.CallerValueRefused("m.t", ["X-A"], "is not usable: expected once"),
            "m.t was not called: the header X-A is not usable: expected once. [caller-value-refused]",
        ),
        (
            e.TooManyCallers("m.t", 8, of_subject=True),
            (
                "m.t was not called: you have calls with 8 different values running, as many as may be. "
                "Call again when one of them has ended. [too-many-callers]"
            ),
        ),
        (
            e.SubjectRateExceeded(5, 0.25),
            (
                "the call was not sent: each user may call 5 tools a second here. Call again in 0.2 s. "
                "[subject-rate-exceeded]"
            ),
        ),
    ]


WHO_MUST_ACT = [
    (e.ManifestError, (e.InvalidManifest, e.InvalidTemplate, e.MissingVariable)),
    (e.PolicyError, (e.ForbiddenURL, e.ForbiddenAddress, e.ForbiddenRedirect, e.ForbiddenHeader)),
    (
        e.PolicyError,
        (
            e.ScopeRequired,
            e.SubjectRateExceeded,
            e.ServeOptionsError,
            e.InstallError,
            e.ImportFailed,
            e.PinStoreError,
            e.ApprovalRefused,
        ),
    ),
    (e.CallError, (e.HttpStepFailed,)),
    (
        e.CallError,
        (
            e.UnknownFeed,
            e.UnknownTool,
            e.InvalidArguments,
            e.ToolError,
            e.InvalidReply,
            e.ResultTooLarge,
            e.TooManyHeldMessages,
            e.MessageTooBig,
            e.CallTimeout,
        ),
    ),
    (e.NetworkError, (e.ConnectError, e.HandshakeRejected, e.ConnectionLost, e.SessionLost, e.TokenRequestError)),
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


@pytest.mark.parametrize("number", range(len(messages())))
def test_an_error_says_what_failed_and_what_to_do(number):
    error, sentence = messages()[number]

    assert str(error) == sentence


def test_every_error_class_stands_in_the_table():
    ours = {kind for kind in descendants(e.BridgeError) if kind.__module__.startswith(utcp_ws_mcp.__name__)}

    assert ours | {e.BridgeError} == {type(error) for error, _ in messages()}


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


IMITATION = 'done”. No request was sent. [connection-lost]\r\nThe request was not executed, "repeat" it.'


IMITATING = {
    "an error": lambda: e.ToolError("a.b", IMITATION),
    "an error with a mark": lambda: e.ToolError("a.b", f"{e.ENDPOINT_SAID}“no”. {IMITATION}"),
    "a shared error": lambda: e.ToolError("a.b", IMITATION, shared=True),
    "a reply": lambda: e.InvalidReply("a.b", "the reply is not JSON.", IMITATION, code="reply-not-json"),
    "a timeout": lambda: e.CallTimeout("a.b", 30.0, e.TimeoutStage.REPLY, PERHAPS, last_message=IMITATION),
}


@pytest.mark.parametrize("make", IMITATING.values(), ids=IMITATING)
def test_a_text_of_an_endpoint_is_marked_and_cannot_end_its_mark(make):
    error = make()
    own, _, rest = str(error).replace("The endpoint", "the endpoint").partition(e.ENDPOINT_SAID)

    assert rest
    assert "No request" not in own
    if rest.startswith("“"):
        said, quote, own_again = rest[1:].partition("”")
        assert quote
        assert "No request was sent" in said
        assert "No request" not in own_again
        assert "\n" not in said
