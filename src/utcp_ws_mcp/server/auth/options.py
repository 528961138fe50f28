"""The options of `serve --issuer`: parsed, and made a resource server."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from ...client.resolver import EndpointResolver
from ...core.tools.tool import CompiledTool
from ...errors import ServeOptionsError
from ...observability.events import Observer
from ...records import Record
from .access import AccessControl
from .issuer import HttpFetcher, IssuerKeys, check_audience, check_issuer
from .resource_server import ResourceServer
from .scopes import ToolScopes, parse_tool_scopes
from .subject_limits import SubjectLimits
from .tokens import MAX_CLAIM_LENGTH, TokenRules

if TYPE_CHECKING:
    from ...client.shared.fleet import Fleet

logger = logging.getLogger(__name__)


class OAuthOptions(Record):
    """The options of the command line; `requests_per_subject` are calls a second."""

    issuer: str
    audience: str | None = None
    scope_tools: Sequence[str] = ()
    requests_per_subject: float | None = None
    token_audience: str | None = None


class OAuthSettings(Record):
    """The options, checked. `token_audience` is what `aud` of tokens must be, if it is not `audience`."""

    issuer: str
    audience: str
    scopes: ToolScopes
    requests_per_subject: float | None
    token_audience: str | None = None


def check_oauth_options(options: OAuthOptions) -> OAuthSettings:
    """Check the options.

    Raises:
        ServeOptionsError: if one is invalid or missing.
    """
    if options.audience is None:
        raise ServeOptionsError(
            "--issuer needs --audience: the URL at which clients reach this server, such as "
            "https://mcp.example.com/mcp. Tokens for another audience are refused.",
            code="invalid-audience",
        )
    scopes = parse_tool_scopes(options.scope_tools)
    issuer, audience = check_issuer(options.issuer), check_audience(options.audience)
    token_audience = _check_token_audience(options.token_audience)
    return OAuthSettings(issuer, audience, scopes, options.requests_per_subject, token_audience)


def _check_token_audience(text: str | None) -> str | None:
    if text is not None and (not text or len(text) > MAX_CLAIM_LENGTH or not text.isprintable() or " " in text):
        raise ServeOptionsError(
            f"--token-audience {text!r}: expected the identifier that the authorization server writes into aud of "
            "tokens for this server, such as api://mcp or the client ID of its registration.",
            code="invalid-audience",
        )
    return text


def warn_of_unused_scopes(scopes: ToolScopes, tools: Collection[CompiledTool]) -> None:
    """Warn of the options that allow none of the tools: those of a typo are missed by the callers who need them."""
    example = next((tool.full_name for tool in tools), "weather.get_city")
    for option in scopes.unused(tools):
        logger.warning(
            "--scope-tools %s allows no tool of the manifests. Names have the form manual.tool, such as %s. [%s]",
            option,
            example,
            "scope-tools-unused",
        )


def make_resource_server(settings: OAuthSettings, observe: Observer, fleet: Fleet | None = None) -> ResourceServer:
    """Return the resource server with real clocks and a real network; replicas of a fleet count calls together."""
    limits = _make_limits(settings.requests_per_subject, fleet)
    keys = IssuerKeys(settings.issuer, HttpFetcher(EndpointResolver()), time.monotonic)
    rules = TokenRules(settings.issuer, settings.token_audience or settings.audience, time.time)
    return ResourceServer(rules, keys, AccessControl(settings.scopes, limits, observe), settings.audience)


def _make_limits(per_second: float | None, fleet: Fleet | None) -> SubjectLimits | None:
    if per_second is None or fleet is None:
        return None if per_second is None else SubjectLimits(per_second, time.monotonic)
    from .shared_subject_limits import SharedSubjectLimits

    return SharedSubjectLimits(per_second, time.monotonic, fleet)
