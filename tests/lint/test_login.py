"""The rule for steps of a login."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .test_lint import entry, warnings_of

STEPS: dict[str, tuple[dict[str, Any], bool]] = {
    "a failure that events have, too": ({"expect": "message.id == request_id", "fail": "not message.ok"}, True),
    "another comparison": ({"expect": "message.id == request_id", "fail": "message.status != 200"}, True),
    "a failure with the ID": (
        {"expect": "message.id == request_id", "fail": "message.id == request_id and not message.ok"},
        False,
    ),
    "a failure that says so": ({"expect": "message.id == request_id", "fail": "message.error is defined"}, False),
    "the only message": ({"expect": "message.ok", "fail": "not message.ok"}, False),
    "no failure": ({"expect": "message.id == request_id"}, False),
    "nothing expected": ({"http": {"url": "https://a.example/"}, "fail": "not body.ok"}, False),
}


@pytest.mark.parametrize(("step", "warned"), STEPS.values(), ids=STEPS)
def test_a_step_whose_failure_events_have_too_is_reported(step: dict[str, Any], warned: bool, tmp_path: Path) -> None:
    login = [{"send": {"id": "{{ request_id }}"}, "request_id": True}, step]
    lines = warnings_of(entry(on_connect=login), tmp_path, {})
    assert [line for line in lines if "login-fail-too-broad" in line] == [
        line for line in lines if line.startswith("on_connect[1].fail: is also true for messages")
    ]
    assert any("login-fail-too-broad" in line for line in lines) is warned


def test_inherited_steps_are_not_asked(tmp_path: Path) -> None:
    document = entry(preset="homeassistant", on_connect=["...", {"send": "hi"}])
    assert not any("login-fail-too-broad" in line for line in warnings_of(document, tmp_path, {}))
