"""A predicate that cannot be evaluated on a message is not the same as a false one: the error of the call names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import Peer, bridge_to, entry, peer
from utcp_ws_mcp import CallTimeout, InvalidReply

BY_ID = {"match": "message.id == request_id"}
DOCUMENT = {"request_id": "counter", "message": {"id": "{{ request_id }}"}, "response_format": "json"}


async def answer(seen: Peer, connection: Any, message: Any) -> None:
    await connection.send(json.dumps({"id": message["id"], "n": 1, "none": None}))


CLASSIFYING = {
    "an error": ({"reply": {**BY_ID, "error": "message.startswith('ERR')"}}, "reply.error"),
    "an acknowledgement": ({"reply": {**BY_ID, "ack": "message.n.startswith('a')"}}, "reply.ack"),
    "what is ignored": ({"reply": BY_ID, "ignore": ["message.x == 1", "message.n - 'a' > 0"]}, "ignore[1]"),
    "null": ({"reply": {**BY_ID, "error": "message.none.startswith('ERR')"}}, "reply.error"),
    "a filter": ({"reply": {**BY_ID, "error": "(('x' ~ message.n) | from_json).x == 1"}}, "reply.error"),
    "an end": ({"reply": BY_ID, "stream": {"until": "message.startswith('END')"}}, "stream.until[0]"),
}


@pytest.mark.parametrize(("fields", "field"), CLASSIFYING.values(), ids=CLASSIFYING)
async def test_a_predicate_that_cannot_be_evaluated_on_the_answer_fails_the_call(
    tmp_path: Path, fields: dict[str, Any], field: str
) -> None:
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **DOCUMENT, **fields)) as bridge:
        with pytest.raises(InvalidReply) as failed:
            await bridge.call_tool("m.t")

    assert failed.value.code == "predicate-failed"
    assert f"m.t: {field}: the expression " in str(failed.value)
    assert "Check the kind of the value first" in str(failed.value)


async def test_a_method_of_a_value_that_the_answer_lacks_is_false(tmp_path: Path) -> None:
    fields = {"reply": {**BY_ID, "error": "message.error.startswith('E')"}, "ignore": "message.log.startswith('x')"}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **DOCUMENT, **fields)) as bridge:
        assert (await bridge.call_tool("m.t"))["n"] == 1


async def test_a_timeout_names_the_predicate_that_could_not_be_evaluated(tmp_path: Path) -> None:
    fields = {"timeout": 0.5, "reply": {"match": "message.startswith('OK')"}}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **{**DOCUMENT, **fields})) as bridge:
        with pytest.raises(CallTimeout, match="reply.match: the expression .* failed: a value has no method"):
            await bridge.call_tool("m.t")
