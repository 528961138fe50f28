"""Every error of the bridge, grouped by who must act.

BridgeError
├─ ManifestError   the author
├─ PolicyError     the operator
├─ CallError       the caller or the endpoint (also a RuntimeError)
└─ NetworkError        the network (also a ConnectionError)

An error stores data and composes one sentence: what failed, where or at which limit, and what to do.
Its text never holds a secret: addresses are shown without their query.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """What is known of a request when its call fails."""

    NOT_SENT = "no request was sent"
    MAYBE_EXECUTED = "the request was sent and may have been executed; check before you repeat it"
    ANSWERED = "the request was executed, and answered"


Position = tuple[int, int]
"""Line and column in a file, from 1."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a document.

    Attributes:
        path: The JSON path of the value; empty for the whole document.
        message: What is wrong, and how to fix it.
        position: Where the value is in its file, if that is known.
        code: The stable code of the problem, which the documentation is keyed by.
    """

    path: str
    message: str
    position: Position | None = None
    code: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        code = f" [{self.code}]" if self.code else ""
        return (f"{self.path}: {self.message}" if self.path else self.message) + code

    def format(self, source: str) -> str:
        """Return the problem after the name of its file, with line and column in the form that editors follow."""
        location = f"{source}:{self.position[0]}:{self.position[1]}" if self.position else source
        return f"{location}: {self}"


class BridgeError(Exception):
    """The base of all errors that the bridge raises on purpose. `outcome` says what became of the request."""

    outcome = Outcome.NOT_SENT


class ManifestError(BridgeError):
    """The author of a manifest must change it."""


class InvalidManifest(ManifestError):
    """A manifest that cannot be used: every problem of it at once."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.format(source) for problem in self.problems))


class InvalidTemplate(ManifestError):
    """A template or expression that cannot be compiled, or cannot be filled with these arguments."""


class MissingVariable(ManifestError):
    """Variables that a manifest names and nobody sets."""

    def __init__(self, names: Sequence[str], manual: str) -> None:
        self.names = tuple(names)
        self.manual = manual
        listed = ", ".join(self.names)
        is_are, them = ("is not set", "it") if len(self.names) == 1 else ("are not set", "them")
        super().__init__(
            f"{manual}: {listed} {is_are}; set {them} in the environment, in a .env file beside the manifest, "
            'or under "variables"'
        )


class PolicyError(BridgeError):
    """The operator must allow it in the manifest, or it must not happen."""


class ServeOptionsError(PolicyError):
    """The options of `serve` do not fit together, or what they ask for cannot be had."""


class InstallError(PolicyError):
    """A host's file, or its command, does not let a server be put in or taken out. The sentence says why."""


class PinStoreError(PolicyError):
    """The approved tools cannot be saved in the state folder."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"the approved tools cannot be saved in {path}: {reason}")


class InternalError(BridgeError):
    """A mistake of the bridge itself, met on the way of a call. `__cause__` is what happened."""

    outcome = Outcome.MAYBE_EXECUTED

    def __init__(self, context: str, cause: BaseException) -> None:
        self.context = context
        self.__cause__ = cause
        super().__init__(f"a defect of utcp-ws-mcp ({type(cause).__name__}) at {context}; please report it")


class ForbiddenURL(PolicyError):
    """A URL that is malformed, or of a kind that may not be used here."""


class ForbiddenAddress(PolicyError):
    """A host that resolves to an address which the manifest does not allow."""

    def __init__(self, host: str, address: str, kind: str) -> None:
        self.host, self.address, self.kind = host, address, kind
        subject = f"{host} is" if host == address else f"{host} resolves to {address},"
        allowed = kind if kind in ("private", "loopback") else address
        super().__init__(
            f"{subject} a {kind} address; if that is intended, add "
            f'"network": {{"allow": ["{allowed}"]}} to its call template'
        )


class ForbiddenRedirect(PolicyError):
    """A redirect, which the bridge never follows."""

    def __init__(self, address: str, status: int) -> None:
        self.address, self.status = address, status
        super().__init__(f"{address} answered with a redirect (HTTP {status}); write the final URL into the manifest")


class ForbiddenHeader(PolicyError):
    """A header that may not be sent: its name belongs to the handshake, or it holds control characters."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        super().__init__(f"header {name!r} {reason}")


class CallError(BridgeError, RuntimeError):
    """A call that failed for a reason of its caller or its endpoint."""


class UnknownTool(CallError):
    """No tool of this name."""

    def __init__(self, name: str, nearest: str | None = None) -> None:
        self.name = name
        hint = f"; did you mean {nearest!r}?" if nearest else "; list the tools to see their names"
        super().__init__(f"there is no tool {name!r}{hint}")


class InvalidArguments(CallError):
    """Arguments that do not fit the tool's input schema, or cannot be put into its message. Nothing was sent."""

    def __init__(self, tool: str, reason: str) -> None:
        self.tool = tool
        super().__init__(f"{tool}: {reason}")


class ToolError(CallError):
    """The endpoint answered that the tool failed. `fault` is the message that says so (any JSON).

    `collected` holds the items of a stream that came before it.
    """

    outcome = Outcome.ANSWERED

    def __init__(self, tool: str, message: str, payload: object = None, partial: Sequence[object] = ()) -> None:
        self.tool, self.payload, self.partial = tool, payload, tuple(partial)
        super().__init__(message)


class InvalidReply(CallError):
    """A reply that is not of the promised form. The request was executed."""

    outcome = Outcome.ANSWERED

    def __init__(self, tool: str, reason: str, excerpt: str = "") -> None:
        self.tool = tool
        super().__init__(f"{tool}: {reason}" + (f": {excerpt}" if excerpt else ""))


class MessageTooBig(CallError):
    """A message that exceeds `limits.max_message_bytes`, so that the connection is closed.

    `others`: more calls were waiting on the connection; nobody knows whose reply it was.
    """

    def __init__(self, address: str, limit: int, outcome: Outcome, *, other_calls_pending: bool = False) -> None:
        self.address, self.limit, self.outcome, self.other_calls_pending = address, limit, outcome, other_calls_pending
        whose = ", for this call or for another on its connection" if other_calls_pending else ""
        super().__init__(
            f"{address} sent a message of more than {limit:,} bytes{whose}; "
            'ask for less, or raise "limits": {"max_message_bytes": …} in its call template; '
            f"{outcome.value}"
        )


class TimeoutStage(Enum):
    """What a call was waiting for when its time was up."""

    POOL = "pool"
    CONNECT = "connect"
    SEND = "send"
    REPLY = "reply"
    LISTEN = "listen"


_TIMEOUT_TEXTS = {
    TimeoutStage.POOL: "there was no connection",
    TimeoutStage.CONNECT: "there was no connection",
    TimeoutStage.SEND: "the endpoint did not read the request",
    TimeoutStage.REPLY: "no reply came",
    TimeoutStage.LISTEN: "nothing that it waits for came",
}


class CallTimeout(CallError, TimeoutError):
    """No result within the call's timeout (seconds); `stage` is what the call was waiting for.

    `detail` is why there was no connection, `last_message` the last message that was not recognized as the reply.
    """

    def __init__(
        self,
        tool: str,
        timeout: float,
        stage: TimeoutStage,
        outcome: Outcome,
        *,
        detail: str = "",
        last_message: str = "",
    ) -> None:
        self.tool, self.timeout, self.stage, self.outcome = tool, timeout, stage, outcome
        why = f" ({detail})" if detail else ""
        came = f"; the last message that came was {last_message}" if last_message else ""
        super().__init__(f"{tool}: {_TIMEOUT_TEXTS[stage]}{why} within {timeout:g} s{came}; {outcome.value}")


class NetworkError(BridgeError, ConnectionError):
    """The network, or the endpoint's side of it, failed."""


class ConnectError(NetworkError):
    """No connection could be opened. Nothing was sent."""

    def __init__(self, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(f"cannot connect to {address}: {reason}")

    def redact(self, redactor: Callable[[str], str]) -> None:
        """Take out of the sentence what `redact` hides: servers repeat what they refuse."""
        self.reason = redactor(self.reason)
        self.args = (redactor(str(self)),)


class HandshakeRejected(ConnectError):
    """The endpoint answered the WebSocket upgrade with an HTTP status instead (RFC 6455 §4.1), and `told` why."""

    def __init__(self, address: str, status: int, hint: str = "", detail: str = "") -> None:
        self.status = status
        super().__init__(
            address, f"the upgrade was answered with HTTP {status}{detail}" + (f"; {hint}" if hint else "")
        )


class ConnectionLost(NetworkError):
    """An open connection ended while a call waited. `close` says how, `code` is its code (RFC 6455 §7.4)."""

    def __init__(
        self, address: str, close_reason: str, outcome: Outcome, partial: Sequence[object] = (), code: int = 1006
    ) -> None:
        self.address, self.close_reason, self.outcome, self.code = address, close_reason, outcome, code
        self.partial = tuple(partial)
        count = len(self.partial)
        got = f" after {count} {'item' if count == 1 else 'items'}" if count else ""
        super().__init__(f"the connection to {address} was lost{got} ({close_reason}); {outcome.value}")


class DiscoveryTimeout(NetworkError):
    """An endpoint that was asked for its manual and did not give one within `seconds`."""

    def __init__(self, manual: str, seconds: float) -> None:
        self.manual, self.seconds = manual, seconds
        super().__init__(
            f"{manual}: no UTCP manual came within {seconds:g} s; "
            'if the endpoint does not speak UTCP, write its tools into the manifest ("tools": […])'
        )


class TokenRequestError(NetworkError):
    """The token endpoint gave no token. Nothing was sent to the tool's endpoint."""

    def __init__(self, address: str, reason: str) -> None:
        self.address = address
        super().__init__(f"no token from {address}: {reason}")
