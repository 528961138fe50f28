"""Which era of the protocol a session on stdio uses, and who answers its messages."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from ...core.codecs.message import encode_json
from .protocol_versions import MODERN, has_envelope, is_modern

SESSION_OPENERS: Final = ("initialize", "notifications/initialized")
"""Messages that open a session of the handshake revisions; a server that joins later must receive them first."""


class State(Enum):
    """The states of a session; it never leaves the last three."""

    UNDECIDED = "no request has come"
    HANDSHAKE = "the host has sent `initialize`"
    MODERN = "the host has sent a request of 2026-07-28 or later"
    DELEGATED = "the SDK's server answers everything"


class ProtocolState:
    """The state machine of a session:

        UNDECIDED ── initialize ────────────────────────▶ HANDSHAKE
        UNDECIDED ── a request with a modern envelope ──▶ MODERN
        UNDECIDED ── any other message ─────────────────▶ DELEGATED

    In HANDSHAKE and MODERN the fast path answers what it knows, and the SDK's server the rest. Before an era is
    decided, a message that the fast path does not know may be one that decides it, so the SDK's server takes over the
    session. With `delegated` (the option `--no-fast-path`) it has it from the start.

    Attributes:
        revision: The revision of the session.
        is_undecided: Whether no era is decided yet.
        is_decided: Whether the fast path knows the era of the session.
        is_handshake: Whether the session was opened by `initialize`.
        is_modern: Whether each request names its revision.
        is_delegated: Whether the SDK's server answers everything.
    """

    def __init__(self, *, delegated: bool = False) -> None:
        self._enter(State.DELEGATED if delegated else State.UNDECIDED)
        self._openers: list[bytes] = []
        self.revision = MODERN[-1]

    def __repr__(self) -> str:
        return f"<ProtocolState {self._state.name}>"

    def _enter(self, state: State) -> None:
        self._state = state
        self.is_undecided = state is State.UNDECIDED
        self.is_handshake = state is State.HANDSHAKE
        self.is_modern = state is State.MODERN
        self.is_delegated = state is State.DELEGATED
        self.is_decided = self.is_handshake or self.is_modern

    @property
    def openers(self) -> list[bytes]:
        """The lines that open the session for a server that joins later."""
        return list(self._openers)

    def start_handshake(self, revision: str) -> None:
        """Decide for the handshake era: `initialize` was answered with this revision."""
        assert self.is_undecided
        self._enter(State.HANDSHAKE)
        self.revision = revision

    def delegate_if_undecided(self) -> None:
        """Let the SDK's server answer everything, unless an era is decided."""
        if self.is_undecided:
            self._enter(State.DELEGATED)

    def accepts(self, params: Mapping[str, Any]) -> bool:
        """Return whether the parameters of a request fit the era. The first modern request decides for its era."""
        if self.is_undecided and is_modern(params):
            self._enter(State.MODERN)
        if self.is_modern:
            return is_modern(params)
        return self.is_handshake and ("_meta" not in params or not has_envelope(params))

    def record(self, line: bytes, message: Mapping[str, Any]) -> None:
        """Remember a line that the fast path has handled, if it opens the session for a server that joins later.

        A modern session has no opening. A request that changes nothing takes its place, with the envelope of the first.
        """
        if message["method"] in SESSION_OPENERS:
            self._openers.append(line)
        elif self.is_modern and not self._openers:
            self._openers.append(_modern_opener(message["params"]["_meta"]))


def _modern_opener(meta: dict[str, Any]) -> bytes:
    opener = {"jsonrpc": "2.0", "id": "utcp-ws-mcp opening", "method": "server/discover", "params": {"_meta": meta}}
    return encode_json(opener).encode("utf-8", "replace")
