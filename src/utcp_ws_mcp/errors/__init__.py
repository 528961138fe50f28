"""Every error of the bridge, grouped by who must act.

    BridgeError
    ├─ ManifestError   the author of the manifest
    ├─ PolicyError     the operator
    ├─ CallError       the caller or the endpoint (also a RuntimeError)
    └─ NetworkError    the network (also a ConnectionError)

An error stores data and composes one message of the form "what failed: cause. Fix.". `str(error)` appends the stable
code of the error in brackets; the documentation is keyed by these codes (`errors.codes`). A message never contains a
secret: addresses are shown without their query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .base import ENDPOINT_SAID as ENDPOINT_SAID
from .base import BridgeError as BridgeError
from .base import Outcome as Outcome
from .base import Position as Position
from .base import Problem as Problem
from .base import RetryAfter as RetryAfter
from .base import TimeoutStage as TimeoutStage
from .base import end_sentence as end_sentence
from .base import quote_endpoint as quote_endpoint
from .base import sentence as sentence
from .network import ConnectError as ConnectError
from .network import ConnectionLost as ConnectionLost
from .network import DiscoveryInterrupted as DiscoveryInterrupted
from .network import DiscoveryTimeout as DiscoveryTimeout
from .network import HandshakeRejected as HandshakeRejected
from .network import NetworkError as NetworkError
from .network import SessionLost as SessionLost
from .network import TokenRequestError as TokenRequestError
from .network import after_items
from .policy import ApprovalRefused as ApprovalRefused
from .policy import AuthoringRefused as AuthoringRefused
from .policy import CallerValueMissing as CallerValueMissing
from .policy import CallerValueRefused as CallerValueRefused
from .policy import ForbiddenAddress as ForbiddenAddress
from .policy import ForbiddenHeader as ForbiddenHeader
from .policy import ForbiddenRedirect as ForbiddenRedirect
from .policy import ForbiddenURL as ForbiddenURL
from .policy import HostNotAllowed as HostNotAllowed
from .policy import ImportFailed as ImportFailed
from .policy import InstallError as InstallError
from .policy import PinStoreError as PinStoreError
from .policy import PolicyError as PolicyError
from .policy import ScopeRequired as ScopeRequired
from .policy import ServeOptionsError as ServeOptionsError
from .policy import StudioRefused as StudioRefused
from .policy import SubjectRateExceeded as SubjectRateExceeded
from .policy import TooManyCallers as TooManyCallers
from .policy import VariableNotAllowed as VariableNotAllowed


class ManifestError(BridgeError):
    """The author of a manifest must change it."""


class InvalidManifest(ManifestError):
    """A manifest that cannot be used, with all of its problems; each problem carries its own code."""

    code = "invalid-manifest"

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.format(source) for problem in self.problems))

    def __str__(self) -> str:
        return self.message


class InvalidTemplate(ManifestError):
    """A template or expression that cannot be compiled, or a setting of a call template that cannot be used."""


_EXPRESSION_NAMES: Final = frozenset({"request_id", "tool", "now", "now_s", "now_ms"})
"""Names that expressions know, and that are not variables."""


class MissingVariable(ManifestError):
    """Variables that a manifest uses and that have no value."""

    code = "variable-not-set"

    def __init__(self, names: Sequence[str], manual: str, similar: Sequence[tuple[str, str]] = ()) -> None:
        self.names = tuple(names)
        self.manual = manual
        meant = " or ".join(
            [f"{name!r} of {file}" for name, file in similar]
            + [f"{{{{ {name} }}}}" for name in names if name in _EXPRESSION_NAMES]
        )
        hint = f"Did you mean {meant}? " if meant else ""
        listed = ", ".join(self.names)
        verb, them, secret = ("is", "it", "it is a secret") if len(names) == 1 else ("are", "them", "they are secrets")
        super().__init__(
            f"{manual}: {listed} {verb} not set. {hint}"
            f"Set {them} in the environment, in a .env file beside the manifest, "
            f'in a file given with --env-file, or, unless {secret}, under "variables".'
        )


class InternalError(BridgeError):
    """A bug of utcp-ws-mcp while it opened a connection or asked for a manual. `__cause__` is the exception."""

    code = "internal-error"

    def __init__(self, context: str, cause: BaseException) -> None:
        self.context = context
        self.__cause__ = cause
        super().__init__(f"{context}: internal error ({type(cause).__name__}). Please report this bug with the log.")


class CallError(BridgeError, RuntimeError):
    """A call that failed for a reason of its caller or its endpoint."""


class UnknownTool(CallError):
    """No tool of this name; `reason` is why, if it is known: the message of another error."""

    code = "unknown-tool"

    def __init__(self, name: str, nearest: str | None = None, reason: str = "") -> None:
        self.name, self.reason = name, reason
        fix = f"Did you mean {nearest!r}?" if nearest else "List the tools to see their names."
        super().__init__(f"there is no tool {name!r}" + (f": {end_sentence(reason)}" if reason else f". {fix}"))


class UnknownFeed(CallError):
    """No feed of this name; `reason` is what it is instead, `nearest` the feed that is meant, `known` all feeds."""

    code = "unknown-feed"

    def __init__(self, name: str, *, reason: str = "", nearest: str | None = None, known: Sequence[str] = ()) -> None:
        self.name = name
        listed = f"The feeds are: {', '.join(known)}." if known else "The manifest has no feeds."
        fix = f"Did you mean {nearest!r}?" if nearest else listed
        super().__init__(f"{reason or f'there is no feed {name!r}'}. {fix}")


class InvalidArguments(CallError):
    """Arguments that do not match the tool's input schema, or cannot be put into its message. Nothing was sent."""

    code = "invalid-arguments"

    def __init__(self, tool: str, reason: str, *, code: str | None = None) -> None:
        self.tool = tool
        super().__init__(f"{tool}: {reason}", code=code)


class ToolError(CallError):
    """The endpoint reported that the tool failed. `payload` is the message that says so (any JSON value).

    `message` is the endpoint's own text; `str(error)` marks it as such, and ends with `hint`, what to write in the
    manifest. `shared`: the error names no request, and may mean other calls as well.
    """

    code = "tool-error"
    outcome = Outcome.ANSWERED

    def __init__(
        self,
        tool: str,
        message: str,
        payload: object = None,
        partial: Sequence[object] = (),
        *,
        shared: bool = False,
        hint: str = "",
    ) -> None:
        self.tool, self.payload, self.partial, self.hint = tool, payload, tuple(partial), hint
        if shared:
            self.outcome = Outcome.MAYBE_EXECUTED
            message = (
                f"{end_sentence(quote_endpoint(message))} The error names no request: it may mean another one. "
                f"{self.outcome.value}"
            )
        super().__init__(message)

    def __str__(self) -> str:
        if self.outcome is Outcome.MAYBE_EXECUTED:
            return super().__str__()
        said = f"{end_sentence(self.message)} {self.hint}" if self.hint else self.message
        return f"{ENDPOINT_SAID}{said} [{self.code}]"


class InvalidReply(CallError):
    """A reply that does not have the promised form. The request was executed."""

    outcome = Outcome.ANSWERED

    def __init__(self, tool: str, reason: str, excerpt: str = "", *, code: str = "output-mismatch") -> None:
        self.tool = tool
        shown = f" {sentence(quote_endpoint(excerpt))}" if excerpt else ""
        super().__init__(f"{tool}: {reason}{shown}", code=code)


class HttpStepFailed(CallError):
    """An HTTP request of `before_message` that failed. `outcome` covers all requests of the call."""

    code = "http-step-failed"

    def __init__(self, tool: str, cause: ConnectError, outcome: Outcome) -> None:
        self.tool, self.address, self.step, self.outcome = tool, cause.address, cause.step, outcome
        self.retry_after = cause.retry_after
        reason = f"{tool}: {cause.step} failed: {cause.address}: {end_sentence(cause.reason)} {outcome.value}"
        super().__init__(reason, code=cause.code)


class UnidentifiableReply(CallError):
    """A tool without `match` at an endpoint that sends unsolicited messages; `excerpt` is of one of them.

    `hint` is what else to write in the manifest.
    """

    code = "unsolicited-messages"

    def __init__(self, tool: str, address: str, excerpt: str, outcome: Outcome, *, hint: str = "") -> None:
        self.tool, self.address, self.outcome = tool, address, outcome
        example = f" In the last one, {end_sentence(quote_endpoint(excerpt))}" if excerpt else ""
        super().__init__(
            f"{tool}: {address} sends unsolicited messages, so the first message after the request need not be its "
            f'reply.{example} Write "reply": {{"match": …}} for the reply, "ignore" for the other messages, or '
            f'"stream" if several messages answer the request. {f"{hint} " if hint else ""}{self.outcome.value}'
        )


class IncompleteStream(CallError):
    """A stream that a bound ended before its own end, although the manifest asks for it (`stream.require_end`)."""

    code = "stream-incomplete"

    def __init__(self, tool: str, end: str, count: int, outcome: Outcome) -> None:
        self.tool, self.end, self.outcome = tool, end, outcome
        super().__init__(
            f"{tool}: the stream is incomplete: {end} ended it {after_items(count)} before its own end, which "
            f'"require_end" asks for. Ask for less, or raise the bound. {outcome.value}'
        )


class ResultTooLarge(CallError):
    """A result with more bytes than a message to the host may have. The request was executed."""

    outcome = Outcome.ANSWERED
    code = "result-too-large"

    def __init__(self, tool: str, size: int, limit: int) -> None:
        self.tool, self.size, self.limit = tool, size, limit
        super().__init__(
            f"{tool}: the result has {size:,} bytes, more than a message to the host may have ({limit:,}). "
            "Call the tool again with arguments that ask for less, such as a filter, fields, a page or a limit. "
            "The author of the manifest can select parts with `reply.result`, or raise `serve --max-line-bytes` "
            "if the host reads longer lines. "
            f"{self.outcome.value}"
        )


class TooManyHeldMessages(CallError):
    """More messages than are kept came while the HTTP requests of a call were under way: its reply may be lost."""

    code = "too-many-held-messages"

    def __init__(self, address: str, count: int, outcome: Outcome) -> None:
        self.address, self.count, self.outcome = address, count, outcome
        super().__init__(
            f"{address}: more than {count:,} messages, or too large ones, came while the HTTP requests of the call "
            f'(before_message) were under way, so that its reply may be lost. Set "keep_alive": false for a connection '
            f"of its own, or move the requests into before_connect. {outcome.value}"
        )


class MessageTooBig(CallError):
    """A message longer than `limits.max_message_bytes`; the connection was closed (RFC 6455 §7.4.1, 1009).

    `other_calls_pending`: more calls waited on the connection, so the message may have belonged to any of them.
    """

    code = "message-too-big"

    def __init__(self, address: str, limit: int, outcome: Outcome, *, other_calls_pending: bool = False) -> None:
        self.address, self.limit, self.outcome, self.other_calls_pending = address, limit, outcome, other_calls_pending
        whose = ", for this call or for another one on its connection" if other_calls_pending else ""
        super().__init__(
            f"{address}: the endpoint sent a message of more than {limit:,} bytes{whose}. "
            'Ask for less, or raise "limits": {"max_message_bytes": …} in the call template. '
            f"{outcome.value}"
        )


_WAITED_FOR = {
    TimeoutStage.POOL: "a connection",
    TimeoutStage.CONNECT: "a connection",
    TimeoutStage.HTTP: "the response to an HTTP request",
    TimeoutStage.SEND: "the endpoint to read the request",
    TimeoutStage.REPLY: "a reply",
    TimeoutStage.STREAM: "the end of the stream",
    TimeoutStage.LISTEN: "a message that matches",
}
_TIMEOUT_CODES = {
    TimeoutStage.POOL: "pool-timeout",
    # Not "connect-timeout": the call was held up, while the attempt to connect may still succeed or fail otherwise.
    TimeoutStage.CONNECT: "pool-timeout",
    TimeoutStage.HTTP: "http-timeout",
    TimeoutStage.SEND: "send-timeout",
    TimeoutStage.REPLY: "reply-timeout",
    TimeoutStage.STREAM: "stream-timeout",
    TimeoutStage.LISTEN: "listen-timeout",
}


class CallTimeout(CallError, TimeoutError):
    """A call that did not finish within its timeout (seconds); `stage` is what the call was waiting for.

    `detail` says more about it, such as why there was no connection. `last_message` is an excerpt of the last message
    that did not answer the call, and `fate` what became of it; `hint` is what to write.
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
        fate: str = "did not match",
        hint: str = "",
    ) -> None:
        self.tool, self.timeout, self.stage, self.outcome = tool, timeout, stage, outcome
        # The detail may be the message of another error, with the same outcome at its end.
        cause = f": {detail.removesuffix(outcome.value).strip()}" if detail else ""
        last = f" The last message {fate}; {end_sentence(quote_endpoint(last_message))}" if last_message else ""
        awaited = end_sentence(f"{_WAITED_FOR[stage]}{cause}")
        fix = f" {hint}" if hint else ""
        text = f"{tool}: timed out after {timeout:g} s waiting for {awaited}{last}{fix} {outcome.value}"
        super().__init__(text, code=_TIMEOUT_CODES[stage])
