"""Who sent a request, as an access token says."""

from __future__ import annotations

from ...records import Record


class Identity(Record):
    """Who sent a request, as an access token says (RFC 9068 §2.2).

    Attributes:
        issuer: The authorization server, which makes `subject` and `client` unique.
        subject: The claim `sub`.
        client: The claim `client_id`, or `azp`; empty if the token has neither.
        scopes: The scopes of the token.
    """

    issuer: str
    subject: str
    client: str = ""
    scopes: frozenset[str] = frozenset()
