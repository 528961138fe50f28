import pytest

from tests.core.exchange.test_dispatcher import Wire
from utcp_ws_mcp.core.codecs.message import Message
from utcp_ws_mcp.core.exchange.exchange import EarlyMessages
from utcp_ws_mcp.core.exchange.reply_rules import Role

ITEM, ACK, END, IGNORED, ERROR = Role.ITEM, Role.ACK, Role.END, Role.IGNORED, Role.ERROR
RULES = {"reply": {"ack": "message.ack", "error": "message.error"}, "ignore": "message.noise"}
TWO_ENDS = ["message.one", "message.two"]

# name: `stream`, messages, their roles, how many are items, what ended the stream
STREAMS = {
    "an item": ({"until": "message.end"}, [{"n": 1}], [ITEM], 1, None),
    "an acknowledgement": ({"until": "message.end"}, [{"ack": 1}], [ACK], 0, None),
    "the end": ({"until": "message.end"}, [{"end": 1}], [END], 0, "until"),
    "the end is an item": ({"until": "message.end", "include_last": True}, [{"end": 1}], [END], 1, "until"),
    "the end is also an acknowledgement": ({"until": "message.end"}, [{"end": 1, "ack": 1}], [END], 0, "until"),
    "what is ignored is no end": ({"until": "message.end"}, [{"end": 1, "noise": 1}], [IGNORED], 0, None),
    "an error is no end": ({"until": "message.end"}, [{"end": 1, "error": 1}], [ERROR], 1, None),
    "one of two ends": ({"until": TWO_ENDS}, [{"one": 1}, {"n": 1}], [ACK, ITEM], 1, None),
    "one of two ends is an item": ({"until": TWO_ENDS, "include_last": True}, [{"one": 1}], [ITEM], 1, None),
    "one end twice": ({"until": TWO_ENDS}, [{"one": 1}, {"one": 1}], [ACK, ACK], 0, None),
    "both ends": ({"until": TWO_ENDS}, [{"two": 1}, {"one": 1}], [ACK, END], 0, "until"),
    "both ends at once": ({"until": TWO_ENDS}, [{"two": 1, "one": 1}], [END], 0, "until"),
    "max_items": ({"until": "message.end", "max_items": 1}, [{"n": 1}], [ITEM], 1, "max_items"),
    "the end is not counted": (
        {"until": "message.end", "max_items": 1},
        [{"ack": 1}, {"end": 1}],
        [ACK, END],
        0,
        "until",
    ),
    "one end is counted": (
        {"until": TWO_ENDS, "include_last": True, "max_items": 1},
        [{"one": 1}],
        [ITEM],
        1,
        "max_items",
    ),
    "max_items of more": ({"until": "message.end", "max_items": 2}, [{"n": 1}], [ITEM], 1, None),
    "max_bytes": ({"until": "message.end", "max_bytes": 8}, [{"n": 1}], [ITEM], 1, "max_bytes"),
    "max_bytes of several": ({"until": "message.end", "max_bytes": 16}, [{"n": 1}] * 2, [ITEM] * 2, 2, "max_bytes"),
    "max_bytes of more": ({"until": "message.end", "max_bytes": 17}, [{"n": 1}] * 2, [ITEM] * 2, 2, None),
}


@pytest.mark.parametrize(("stream", "messages", "roles", "items", "end"), STREAMS.values(), ids=STREAMS)
def test_a_message_of_a_stream_is_an_item_an_acknowledgement_or_the_end(stream, messages, roles, items, end):
    wire = Wire()
    exchange = wire.open({**RULES, "stream": stream})

    assert [wire.receive(message) for message in messages] == roles
    assert len(exchange.received) == items
    assert exchange.end == end
    assert exchange.finished is (end is not None or ERROR in roles)


@pytest.mark.parametrize(
    ("bounds", "kept"), [((3, 100), "cde"), ((9, 4), "de"), ((9, 1), "e")], ids=["count", "bytes", "one is kept"]
)
def test_early_messages_keep_the_newest_within_their_bounds_and_count_the_others(
    bounds: tuple[int, int], kept: str
) -> None:
    early = EarlyMessages(*bounds)
    for text in "abcde":
        early.add(Message(text * 2, text * 2))
    assert [message.raw[0] for message in early] == list(kept)
    assert early.dropped == 5 - len(kept)
    assert len(list(early.take())) == len(kept)
    assert list(early) == []


BESIDE_ID = {
    "the message alone": ("message.id == request_id and message.method is not defined", {}, {}, Role.REPLY),
    "the message alone, not": (
        "message.id == request_id and message.method is not defined",
        {},
        {"method": "m"},
        Role.DROPPED,
    ),
    "an argument": ("message.room == args.room and message.id == request_id", {"room": "a"}, {"room": "a"}, Role.REPLY),
    "another argument": (
        "message.room == args.room and message.id == request_id",
        {"room": "a"},
        {"room": "b"},
        Role.DROPPED,
    ),
}


@pytest.mark.parametrize(("match", "args", "members", "role"), BESIDE_ID.values(), ids=BESIDE_ID)
def test_a_message_with_the_id_must_fit_the_rest_of_match(match, args, members, role):
    wire = Wire()
    wire.open({"reply": {"match": match}}, **args)

    assert wire.receive({"id": 1, **members}) is role


def test_a_rest_of_match_that_cannot_be_evaluated_is_noted_as_match():
    wire = Wire()
    exchange = wire.open({"reply": {"match": "message.id == request_id and message.n + 1 > 0"}})

    assert wire.receive({"id": 1, "n": "x"}) is Role.DROPPED
    ((source, _),) = exchange.scope.failures.items()
    assert exchange.rules.field_of(source) == "reply.match"
