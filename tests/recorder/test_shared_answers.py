"""Messages that answer several requests: with a list of IDs, or with the first one and their number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.recorder.conversations import conversation
from utcp_ws_mcp.client.manifest_files import load_text
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.recorder.correlation import analyze, find_correlation_ids
from utcp_ws_mcp.recorder.manifest import draft_manifest, format_json
from utcp_ws_mcp.recorder.roles import message_roles

ENDPOINT = {"url": "wss://api.example.com/"}
BY_LIST = ('> {"op": "put", "id": 1}', '> {"op": "put", "id": 2}', '< {"type": "ack", "ids": [1, 2]}')
BY_RANGE = (
    *('> {"action": 15, "msgSerial": 0}', '< {"action": 1, "msgSerial": 0, "count": 1}'),
    *('> {"action": 15, "msgSerial": 1}', '> {"action": 15, "msgSerial": 2}', '> {"action": 15, "msgSerial": 3}'),
    *('< {"action": 1, "msgSerial": 1, "count": 2}', '< {"action": 1, "msgSerial": 3, "count": 1}'),
)


def predicate_of(*lines: str) -> str | None:
    ids = find_correlation_ids(conversation(*lines))
    return None if ids is None or ids.shared is None else ids.shared.predicate


def drafted(*lines: str) -> dict[str, Any]:
    return draft_manifest(ENDPOINT, parse_url(ENDPOINT["url"]), conversation(*lines), ()).document


SHARED: dict[str, tuple[tuple[str, ...], str | None]] = {
    "a list": (BY_LIST, "request_id in message.ids"),
    "a list of texts below": (
        ('> {"id": "a"}', '> {"id": "b"}', '< {"done": {"all": ["b", "a"]}}'), "request_id in message.done.all"
    ),
    "lists of one and of several": (
        (*BY_LIST, '> {"op": "put", "id": 3}', '< {"type": "ack", "ids": [3]}'), "request_id in message.ids"
    ),
    "a range": (
        BY_RANGE, "message.msgSerial <= request_id and request_id < message.msgSerial + message.count"
    ),
    "lists of one": (('> {"id": 1}', '< {"ids": [1]}', '> {"id": 2}', '< {"ids": [2]}'), None),
    "a request that is not answered": ((*BY_LIST, '> {"op": "put", "id": 3}'), None),
    "an ID that was not sent": ((*BY_LIST, '< {"type": "ack", "ids": [3]}'), None),
    "an ID that was answered": ((*BY_LIST, '< {"type": "ack", "ids": [2]}'), None),
    "an ID that is sent later": (('> {"id": 1}', '< {"ids": [1, 2]}', '> {"id": 2}'), None),
    "an answer to each besides": (
        ('> {"id": 1}', '> {"id": 2}', '< {"id": 1}', '< {"id": 2}', '< {"seen": [1, 2]}'), None
    ),
    "a list of other values": (('> {"id": 1}', '> {"id": 2}', '< {"ids": [true, 2]}'), None),
    "a list in lists": (('> {"id": 1}', '> {"id": 2}', '< {"ids": [[1, 2]]}'), None),
    "a number of another name": (('> {"id": 1}', '> {"id": 2}', '< {"page": 1, "total": 2}'), None),
    "too large a number": (('> {"id": 1}', '> {"id": 2}', '< {"id": 1, "count": 3}'), None),
    "far too large a number": (('> {"id": 1}', '> {"id": 2}', '< {"id": 1, "count": 1000000000000}'), None),
    "a request whose ID is no ID": ((*BY_LIST, '> {"op": "put", "id": {"a": 1}}'), "request_id in message.ids"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "predicate"), SHARED.values(), ids=SHARED)
def test_messages_that_account_for_all_requests_together_answer_them(
    lines: tuple[str, ...], predicate: str | None
) -> None:
    assert predicate_of(*lines) == predicate


@pytest.mark.parametrize("lines", [BY_LIST, BY_RANGE])
def test_each_request_has_the_message_that_answers_it(lines: tuple[str, ...]) -> None:
    recorded = analyze(conversation(*lines))
    assert all(len(each.replies) == 1 for each in recorded.exchanges)
    assert len({id(each.replies[0]) for each in recorded.exchanges}) < len(recorded.exchanges)
    assert not recorded.unsolicited


@pytest.mark.parametrize(("lines", "kind"), [(BY_LIST, "counter"), (BY_RANGE, "counter")])
def test_the_draft_lets_one_message_answer_several_calls_and_can_be_loaded(lines: tuple[str, ...], kind: str) -> None:
    document = drafted(*lines)
    assert (document["request_id"], document["reply"]["answers_all"]) == (kind, True)
    assert "request_id" in document["reply"]["match"]
    loaded = load_text(format_json(document), Path("m.json"), {})
    (tool,) = loaded.tools["example"]
    assert tool.rules.answers_all


def test_a_draft_of_single_answers_does_not_say_that_a_message_answers_several() -> None:
    assert "answers_all" not in drafted('> {"id": 1}', '< {"id": 1}')["reply"]


def test_such_a_message_is_a_reply() -> None:
    assert message_roles(ENDPOINT, conversation(*BY_LIST), ()) == ["request", "request", "reply"]
