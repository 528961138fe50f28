"""What a caller may do: which tools, how often; and the audit of its calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from ...core.tools.tool import CompiledTool
from ...errors import ScopeRequired, SubjectRateExceeded
from ...observability import events
from ...observability.events import Observer
from ...records import Record, field
from .caller_variables import GivenValues
from .identity import Identity
from .scopes import ToolScopes
from .subject_limits import SubjectLimits

CALLER_KEY: Final = "utcp_ws_mcp.caller"
"""In the ASGI scope of a request with an access token: its caller."""


class AccessControl(Record):
    """The rules for all callers.

    Attributes:
        scopes: Which tools a scope allows.
        limits: How often a subject may call; None: as often as it wants.
        observe: Gets an event for each call of a subject.
    """

    scopes: ToolScopes
    limits: SubjectLimits | None
    observe: Observer


class Caller(Record):
    """Who sent a request, the rules for it, and what its headers bring.

    Attributes:
        identity: Who sent it; None without access tokens: then the caller may do everything.
        access: The rules for it.
        given: The values that its headers bring for variables of the manifest.
    """

    not_in_repr: ClassVar = ("given",)
    identity: Identity | None
    access: AccessControl | None
    given: GivenValues = field(default_factory=dict)

    @property
    def rights(self) -> frozenset[str] | None:
        """Return what decides on the tools that the caller sees: those who agree in it see the same; None: all."""
        if self.identity is None or self.access is None:
            return None
        return self.access.scopes.rights_of(self.identity)

    def may_use(self, tool: CompiledTool) -> bool:
        """Return whether a tool is listed for the caller, and may be called."""
        if self.identity is None or self.access is None:
            return True
        return self.access.scopes.allow(self.identity, tool)

    def missing_scopes(self, tool: CompiledTool) -> Sequence[str] | None:
        """Return the scopes of which each would allow a tool that the caller may not use; None if it may."""
        return None if self.access is None or self.may_use(tool) else self.access.scopes.scopes_for(tool)

    async def admit(self, tool: CompiledTool) -> None:
        """Count a call of a tool.

        Raises:
            ScopeRequired: if no scope of the caller allows the tool.
            SubjectRateExceeded: if the subject has too many calls.
        """
        if (scopes := self.missing_scopes(tool)) is not None:
            raise ScopeRequired(tool.full_name, scopes)
        limits = self.access.limits if self.access is not None else None
        if limits is not None and self.identity is not None and (wait := await limits.take(self.identity)):
            raise SubjectRateExceeded(limits.per_second, wait)

    def audit(self, tool: str, seconds: float, code: str) -> None:
        """Report a call that has ended; `code` is of its error, empty if it succeeded."""
        if self.identity is None or self.access is None:
            return
        event = events.SubjectCalled(self.identity.subject, self.identity.client, tool, seconds, code or None)
        self.access.observe(event)
