"""What does not happen unless the operator allows it."""

from __future__ import annotations

from collections.abc import Sequence

from .base import BridgeError, end_sentence


class PolicyError(BridgeError):
    """The operator must allow it in the manifest or in the options, or it does not happen."""


class ServeOptionsError(PolicyError):
    """The options of `serve` contradict each other, or cannot be granted."""


class ScopeRequired(PolicyError):
    """The access token of a caller has no scope that allows a tool; each of `scopes` would."""

    code = "scope-required"

    def __init__(self, tool: str, scopes: Sequence[str]) -> None:
        self.tool, self.scopes = tool, tuple(scopes)
        needed = f"a token with the scope {' or '.join(scopes)} is needed" if scopes else "no scope of this server does"
        super().__init__(f"{tool} was not called: your access token does not allow it; {needed}.")


class SubjectRateExceeded(PolicyError):
    """A subject calls more tools in a second than `--requests-per-subject` allows."""

    code = "subject-rate-exceeded"

    def __init__(self, per_second: float, wait: float) -> None:
        self.per_second, self.wait = per_second, wait
        super().__init__(
            f"the call was not sent: each user may call {per_second:g} tools a second here. Call again in {wait:.1f} s."
        )


class CallerValueMissing(PolicyError):
    """A call of a tool whose credentials its caller brings, without the header that holds them."""

    code = "caller-value-missing"

    def __init__(self, tool: str, headers: Sequence[str] = ()) -> None:
        self.tool, self.headers = tool, tuple(headers)
        missing = f"the request has no header {' and no header '.join(headers)}" if headers else "it has no caller"
        fix = "Send it with your own value." if headers else "Call it through `serve --http --caller-variable`."
        super().__init__(f"{tool} was not called: {missing}. {fix}")


class CallerValueRefused(PolicyError):
    """A value of a caller that cannot be used. The message names the header, and nothing of the value."""

    code = "caller-value-refused"

    def __init__(self, tool: str, headers: Sequence[str], reason: str) -> None:
        self.tool, self.headers = tool, tuple(headers)
        super().__init__(f"{tool} was not called: the header {' or '.join(headers)} {end_sentence(reason)}")


class TooManyCallers(PolicyError):
    """More callers with values of their own call at once than the server has places for."""

    code = "too-many-callers"

    def __init__(self, tool: str, limit: int, *, of_subject: bool) -> None:
        self.tool, self.limit = tool, limit
        whose = "you have" if of_subject else "callers have"
        super().__init__(
            f"{tool} was not called: {whose} calls with {limit} different values running, as many as may be. "
            "Call again when one of them has ended."
        )


class InstallError(PolicyError):
    """The configuration of an MCP host does not allow that a server is added or removed. The message says why."""

    code = "host-file-invalid"


class ImportFailed(PolicyError):
    """A description that cannot be imported. The message says why, and what to give instead."""

    code = "not-a-description"


class PinStoreError(PolicyError):
    """The approved tools cannot be saved in the state folder."""

    code = "pins-not-saved"

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"the approved tools cannot be saved in {path}: {end_sentence(reason)}")


class ApprovalRefused(PolicyError):
    """A discovered tool that cannot be approved as it was named: nothing was shown under this name and digest."""

    code = "approval-refused"

    def __init__(self, tool: str, reason: str) -> None:
        self.tool, self.reason = tool, reason
        super().__init__(f"{tool} is not approved: {reason}. List the withheld tools again with `utcp-ws-mcp approve`.")


class ForbiddenURL(PolicyError):
    """A URL that is malformed, or of a kind that is not allowed here."""

    code = "invalid-url"


class ForbiddenAddress(PolicyError):
    """A host that resolves to an address which the manifest does not allow."""

    code = "address-not-allowed"

    def __init__(self, host: str, address: str, kind: str) -> None:
        self.host, self.address, self.kind = host, address, kind
        cause = f"it is a {kind} address" if host == address else f"it resolves to the {kind} address {address}"
        allowed = kind if kind in ("private", "loopback") else address
        super().__init__(
            f"{host}: connection blocked because {cause}. To allow it, set "
            f'"network": {{"allow": ["{allowed}"]}} in the call template.'
        )


class ForbiddenRedirect(PolicyError):
    """A redirect. The bridge never follows redirects, because they would carry credentials to another server."""

    code = "redirect-not-followed"

    def __init__(self, address: str, status: int) -> None:
        self.address, self.status = address, status
        super().__init__(
            f"{address}: the server answered with a redirect (HTTP {status}). Write the final URL into the manifest."
        )


class ForbiddenHeader(PolicyError):
    """A header that may not be sent: its name belongs to the handshake, or its value contains control characters."""

    code = "header-not-allowed"

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        super().__init__(f"header {name!r}: {reason}")


class AuthoringRefused(PolicyError):
    """What an agent may not do with the tools of `author`, or asked for in a form that cannot be used."""

    code = "invalid-author-arguments"


class StudioRefused(PolicyError):
    """What was typed in the studio and cannot be meant, or cannot be done now."""

    code = "invalid-studio-input"


class HostNotAllowed(AuthoringRefused):
    """Hosts that the operator has not allowed; each is `HOST:PORT`."""

    code = "host-not-allowed"

    def __init__(self, hosts: Sequence[str]) -> None:
        self.hosts = tuple(hosts)
        options = " ".join(f"--allow-host {host}" for host in hosts)
        super().__init__(
            f"no connection to {', '.join(hosts)}: the operator has not allowed it. Ask the person whom you work for; "
            f"they allow it with: utcp-ws-mcp author FOLDER {options}."
        )


class VariableNotAllowed(AuthoringRefused):
    """Variables that are not set, or that hosts may not get."""

    code = "variable-not-allowed"

    def __init__(self, names: Sequence[str], hosts: Sequence[str]) -> None:
        self.names, self.hosts = tuple(names), tuple(hosts)
        listed, options = (
            ", ".join(names),
            " ".join(f"--allow-variable {name}@{host}" for name in names for host in hosts),
        )
        super().__init__(
            f"nothing is sent: {listed} may not be sent to {', '.join(hosts)}, or is not set. Ask the person whom you "
            f"work for; they set it in the environment or with --env-file, and allow it with: {options}."
        )
