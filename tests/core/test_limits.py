import json

import pytest

from utcp_ws_mcp.core import limits
from utcp_ws_mcp.core.limits import is_deeper, json_text_is_deeper


def nested(depth, closed="x"):
    value = closed
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


@pytest.mark.parametrize(("depth", "deeper"), [(0, False), (3, False), (4, True), (200_000, True)])
def test_the_depth_of_a_value_is_measured(depth, deeper):
    assert is_deeper(nested(depth), 3) is deeper


@pytest.mark.parametrize(("depth", "deeper"), [(0, False), (3, False), (4, True), (300, True)])
def test_the_depth_of_json_text_is_measured(depth, deeper):
    assert json_text_is_deeper(json.dumps([nested(depth), nested(depth)])[1:-1], 3) is deeper


def test_a_wide_text_is_not_deep():
    assert not json_text_is_deeper(json.dumps([[1]] * 1000), 2)


def test_brackets_in_a_text_may_count():
    assert json_text_is_deeper(json.dumps(["[[[["]), 2)


def test_the_levels_of_objects_and_lists_count_alike():
    assert is_deeper({"a": [1]}, 1)
    assert not is_deeper({"a": [1]}, 2)
    assert not is_deeper(["x", {"a": 1}], 2)
    assert is_deeper([1, [2]], 1)
    assert is_deeper([], 0) is False
    assert is_deeper([1], 0)
    assert not is_deeper("x", 0)


@pytest.mark.parametrize(
    ("text", "limit", "deeper"),
    [
        ("[[]]", 1, True),
        ("[[]]", 2, False),
        (b'{"a":[]}', 1, True),
        ("[][][]", 1, False),
        ("1", 0, False),
        ("[", 1, False),
        ("[]", 0, True),
        ('"\ud800[["', 1, True),
    ],
)
def test_the_depth_of_text_is_that_of_its_brackets(text, limit, deeper):
    assert json_text_is_deeper(text, limit) is deeper


def test_the_limits_are_those_of_the_documentation():
    assert (limits.MAX_DOCUMENT_DEPTH, limits.MAX_MESSAGE_DEPTH, limits.MAX_REMOTE_SCHEMA_DEPTH) == (128, 64, 32)
    assert (limits.MAX_REQUEST_BYTES, limits.MAX_VALUE_LENGTH, limits.MAX_JSON_LENGTH) == (64 << 20, 64 << 20, 16 << 20)
    assert (limits.MAX_REPETITIONS, limits.MAX_EXPRESSION_LENGTH, limits.MAX_PATTERN_LENGTH) == (10_000, 4_000, 1_000)
    assert (limits.MAX_RANDOM_BYTES, limits.MAX_URL_LENGTH) == (65_536, 4_096)
    assert (limits.MAX_HEADER_LENGTH, limits.MAX_HEADER_NAME_LENGTH) == (8_192, 128)
