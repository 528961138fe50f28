"""The optional packages."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.manifest import extras
from utcp_ws_mcp.manifest.extras import is_installed, needs_extra


@pytest.mark.parametrize(
    ("modules", "installed"),
    [
        (("json",), True),
        (("json", "none_of_this_name"), False),
        (("none_of_this_name.below",), False),
        (("json", "re"), True),
    ],
)
def test_an_extra_is_installed_if_all_its_modules_are_there(
    monkeypatch: pytest.MonkeyPatch, modules: tuple[str, ...], installed: bool
) -> None:
    monkeypatch.setattr(extras, "EXTRAS", {"x": modules})
    assert is_installed("x") is installed


def test_what_needs_an_extra_is_said_with_the_command() -> None:
    assert needs_extra("The codec cbor", "cbor") == (
        "The codec cbor needs the extra 'cbor', which is not installed. Run pip install 'utcp-ws-mcp[cbor]'."
    )
