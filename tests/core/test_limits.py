import json

import pytest

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
