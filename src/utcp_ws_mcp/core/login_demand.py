"""Say of an endpoint that seems to demand a login that the call template has none, and which preset has one.

Only errors ask for it. What an endpoint demands is never certain, so the sentence says perhaps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from ..manifest.models.call_template import CallTemplate
from ..manifest.presets import preset_signs
from ..manifest.secret_names import is_secret_name
from ..manifest.variables import find_variables
from .codecs.message import Message
from .expressions.expression import compile_expression

MAX_DEMAND_LENGTH: Final = 2000
"""Characters of a message that may be a demand; longer ones have words for other reasons."""

DEMANDING_CLOSE_CODES: Final = frozenset({3000, 3003, 4401, 4403})
"""Unauthorized and Forbidden: those that IANA has registered, and those that repeat the statuses of HTTP."""

_CREDENTIAL: Final = (
    r"(?:auth(?:enticat(?:ion|ed?)|ori[sz](?:ation|ed?))?|log(?:ged)?[ _-]?in|sign(?:ed)?[ _-]?in|credentials?"
    r"|api[ _-]?key|access[ _-]?token)"
)
_LACKS: Final = r"(?:required|needed|missing|invalid|expected|first)"
_DEMANDS: Final = r"(?:invalid|missing|requires?|needs?|must|please)"
_DEMAND: Final = re.compile(
    rf"""unauth(?:ori[sz]ed|enticated)
    | not[ _-](?:yet[ ])?(?:authenticated|authori[sz]ed|logged[ _-]in|identified)
    | \b{_CREDENTIAL}[\W_]{{1,3}}(?:(?:is|are|was)\W)?{_LACKS}
    | \b{_DEMANDS}[\W_]{{1,3}}(?:(?:an?|to|be|valid|the|your|first)\W){{0,3}}{_CREDENTIAL}\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PERHAPS: Final = "Perhaps the endpoint expects a login first, and the call template has none"
_CARRYING_NO_CREDENTIAL: Final = frozenset({"origin", "host", "user-agent"})


def login_hint(template: CallTemplate, said: Iterable[Message | str | None], close_code: int | None = None) -> str:
    """Return what to write if an endpoint seems to demand a login, and the call template has none; else nothing.

    Args:
        template: The call template of the connection, with everything that it inherits.
        said: What the endpoint said: messages, error texts, the reason of a close.
        close_code: The code with which it closed, or None if it has not.
    """
    if _may_log_in(template):
        return ""
    heard = [each for each in said if each]
    preset = next(
        filter(None, (preset_with_login_for(each.value) for each in heard if isinstance(each, Message))), None
    )
    if preset is not None:
        return f'{_PERHAPS}; "preset": "{preset}" has one for endpoints that send such messages.'
    if close_code in DEMANDING_CLOSE_CODES or any(map(_demands_login, heard)):
        return f'{_PERHAPS}. Write its messages in "on_connect"; credentials of the handshake belong in "auth".'
    return ""


def preset_with_login_for(value: Any) -> str | None:
    """Return the preset whose endpoints send a message of this value before a login, or None."""
    signs = preset_signs().items()
    return next((name for name, sign in signs if _compile(sign).is_true({"message": value})), None)


def _compile(source: str) -> Any:
    return compile_expression(source, frozenset({"message"}))


def _demands_login(said: Message | str) -> bool:
    text = said if isinstance(said, str) else said.for_display
    return isinstance(text, str) and len(text) <= MAX_DEMAND_LENGTH and _DEMAND.search(text) is not None


def _may_log_in(template: CallTemplate) -> bool:
    """Return whether something in a call template may be a login or a credential."""
    steps = (*template.before_connect, *template.on_connect, *template.before_message)
    if template.auth or steps or template.query or "?" in template.url or template.tls.client_cert:
        return True
    if any(name.lower() not in _CARRYING_NO_CREDENTIAL for name in (*template.headers, *template.header_fields)):
        return True
    request = {"let": template.let, "message": template.message, "then": list(template.then)}
    url_path = template.url.partition("://")[2].partition("/")[2]
    handshake = {"protocol": [*template.protocol], "url": url_path, "query": [feed.query for feed in template.feeds]}
    answers = [rule.send for rule in template.auto_reply]
    opening = [step.send for feed in template.feeds for step in feed.open]
    sent = {**handshake, **request, "auto_reply": answers, "open": opening}
    return any(find_variables(sent)) or _names_secret([request, answers, opening])


def _names_secret(document: Any) -> bool:
    """Return whether a message has a member for a credential: then it may be the login itself."""
    if isinstance(document, dict):
        named = any(is_secret_name(name) for name in document)
        return named or any(map(_names_secret, document.values()))
    return isinstance(document, list) and any(map(_names_secret, document))
