import pytest

from utcp_ws_mcp.manifest.models.call_template import CallTemplate
from utcp_ws_mcp.manifest.models.reply import Reply
from utcp_ws_mcp.manifest.presets import read_bare_stream, read_preset
from utcp_ws_mcp.manifest.stream_framing import as_utcp_stream, with_utcp_framing


def template(**fields):
    return CallTemplate.model_validate({"url": "wss://a.example/", **fields})


BARE = {"stream": {"on": True}}
UNTIL = ("message.type == 'stream_end'",)


def test_a_bare_stream_has_the_rules_of_the_preset():
    framed = with_utcp_framing(template(**BARE))

    assert framed.stream.until == UNTIL
    assert framed.stream.item == read_bare_stream()["stream"]["item"]
    assert framed.reply == Reply(**read_bare_stream()["reply"])


def test_the_bounds_of_a_bare_stream_stay():
    assert with_utcp_framing(template(stream={"on": True, "max_items": 5})).stream.max_items == 5


OTHER = {
    "no stream": {},
    "a stream that is off": {"stream": {"on": False}},
    "an end": {"stream": {"until": "message.done"}},
    "an item": {"stream": {"item": "message.n"}},
    "a match": {"stream": {"match": "message.n"}},
    "a reply": {"stream": {"on": True}, "reply": {"result": "message.r"}},
    "only listening": {"stream": {"on": True}, "listen": True},
}


@pytest.mark.parametrize("fields", OTHER.values(), ids=OTHER)
def test_rules_that_are_written_stay(fields):
    found = template(**fields)

    assert with_utcp_framing(found) is found


def test_a_tool_that_is_not_written_as_a_stream_may_become_one():
    assert as_utcp_stream(template()) == with_utcp_framing(template(stream={}))


def test_the_preset_keeps_its_reply_as_a_stream():
    envelope = {key: value for key, value in read_preset("utcp").items() if key != "stream"}
    found = as_utcp_stream(template(**envelope, stream={"on": False, "until": UNTIL}))

    assert (found.stream.on, found.stream.until, found.stream.item) == (True, UNTIL, None)
    assert found.reply.match == "message.request_id == request_id"


STAYS = {
    "a stream": {"stream": {"until": "message.done"}},
    "no reply": {"reply": {"none": True}},
    "another reply": {"reply": {"match": "message.id == request_id"}},
    "only listening": {"listen": True},
}


@pytest.mark.parametrize("fields", STAYS.values(), ids=STAYS)
def test_a_tool_with_other_rules_becomes_no_stream(fields):
    found = template(**fields)

    assert as_utcp_stream(found) is found


def test_a_tool_without_a_reply_becomes_no_stream():
    found = template(reply={"none": True}, stream={"on": False, "until": UNTIL})
    assert as_utcp_stream(found) is found
    assert as_utcp_stream(template(stream={"on": False, "until": UNTIL})).stream.on
