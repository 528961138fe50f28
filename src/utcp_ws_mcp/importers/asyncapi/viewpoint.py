"""Decide whose view a document has: whether `receive` is what clients send."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ...records import Record
from .model import Api, ApiOperation

_NOT_TARGET: Final = r"(?<!to )(?<!to-)(?<!→ )(?<!> )"
"""Before a word: it is not the receiver of a message."""

_BY_CLIENT: Final = re.compile(
    rf"\b(?:sent (?:by|from) (?:the )?client|{_NOT_TARGET}client (?:sends|messages?)|"
    r"client[\s-]*(?:→|->|to)[\s-]*server|client-initiated|sends?\b[^.]{0,60} to (?:the )?server)",
    re.IGNORECASE,
)
_BY_SERVER: Final = re.compile(
    rf"\b(?:sent (?:by|from) (?:the )?server|{_NOT_TARGET}server (?:sends|messages?)|"
    r"server[\s-]*(?:→|->|to)[\s-]*client|pushed to|received by the client|"
    r"receives?\b[^.]{0,60} from (?:the )?server)",
    re.IGNORECASE,
)
_REQUEST: Final = re.compile(
    r"request|command|^(?:un)?subscribe|^get|^set|^create|^update|^delete|^cancel|^ping$", re.IGNORECASE
)
_ANSWER: Final = re.compile(
    r"response|result|event|ack\b|_ack|error|notification|status|^pong$|updated|changed|ready", re.IGNORECASE
)


def is_request(name: str) -> bool:
    """Return whether a message is called like one that clients send."""
    return bool(_REQUEST.search(name)) and not _ANSWER.search(name)


class Viewpoint(Record):
    """Whose view a document has, and why. `server`: what the application receives is what clients send."""

    is_server: bool
    reason: str


def decide(api: Api, option: str) -> Viewpoint:
    """Return the viewpoint: as the option says, or by a vote of what the document says."""
    if option != "auto":
        return Viewpoint(option == "server", "as --viewpoint says")
    votes = list(_votes(api))
    score = sum(weight for weight, _ in votes)
    if score == 0:
        usual = "as the specification says for version 2" if api.is_version_2 else "as most documents are written"
        return Viewpoint(True, f"{usual}; nothing in the document decides it, and --viewpoint changes it")
    reasons = list(dict.fromkeys(reason for weight, reason in votes if weight * score > 0))
    rest = len(reasons) - 2
    more = f"; and {rest} more reason{'s' * (rest > 1)}" if rest > 0 else ""
    return Viewpoint(score > 0, f"{'; '.join(reasons[:2])}{more}")


def _votes(api: Api) -> Iterator[tuple[float, str]]:
    """Yield votes: positive for the view of the server."""
    for operation in api.operations:
        sign = 1 if operation.receives else -1
        if operation.replies:
            yield 3 * sign, f"{operation.key} is {_action(operation)} and has a reply"
        yield from _words(operation, sign)
    public = [server for server in api.servers if server.url.startswith("wss://")]
    if public:
        yield 1, f"it has the public server {public[0].url}"
    if any(operation.channel.bindings for operation in api.operations):
        yield 1, "its channels have WebSocket bindings"


def _words(operation: ApiOperation, sign: int) -> Iterator[tuple[float, str]]:
    texts = " ".join(str(text) for text in operation.texts if text)
    if _BY_CLIENT.search(texts):
        yield 2 * sign, f"{operation.key} is {_action(operation)}, and its text says that clients send it"
    if _BY_SERVER.search(texts):
        yield -2 * sign, f"{operation.key} is {_action(operation)}, and its text says that the server sends it"
    names = [message.name for message in operation.messages]
    requests, answers = (
        sum(bool(_REQUEST.search(name)) for name in names),
        sum(bool(_ANSWER.search(name)) for name in names),
    )
    if requests != answers and names:
        clients = requests > answers
        what = "requests" if clients else "answers"
        yield (0.5 if clients else -0.5) * sign, f"the messages of {operation.key} are called like {what}"


def _action(operation: ApiOperation) -> str:
    return "received" if operation.receives else "sent"
