"""The optional packages."""

from __future__ import annotations

import sys

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


def test_a_module_that_a_newer_python_has_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    assert not extras.is_installed("zstd")
    monkeypatch.setattr(extras, "_IN_NEWER_PYTHON", {"backports.zstd": "json.decoder"})
    assert extras.is_installed("zstd")
