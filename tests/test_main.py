"""The start of the program, before a command runs."""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import utcp_ws_mcp
from utcp_ws_mcp.__main__ import INTERRUPTED, report_crash_without_text, run
from utcp_ws_mcp.cli import main as cli
from utcp_ws_mcp.cli.exit_codes import ExitCode

LOADER = "pydantic.plugin._loader"


class Stream(io.StringIO):
    """Notes how it is to write what its encoding has not."""

    errors_set: str | None = None

    def reconfigure(self, *, errors: str) -> None:
        self.errors_set = errors


@pytest.fixture(autouse=True)
def _start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore what a start changes."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    yield
    gc.enable()


def test_a_command_runs_without_the_collector_and_with_a_hook_that_shows_no_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams = [Stream(), Stream()]
    seen: list[Any] = []

    def main(**options: Any) -> None:
        seen.append((options, gc.isenabled(), sys.excepthook))

    monkeypatch.setattr(cli, "main", main)
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    run()
    assert seen == [({"prog_name": "utcp-ws-mcp"}, False, report_crash_without_text)]
    assert [stream.errors_set for stream in streams] == ["backslashreplace"] * 2


def test_a_hook_of_others_stays_and_a_stream_may_be_any(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*_: object) -> None:
        """Do nothing."""

    monkeypatch.setattr(cli, "main", lambda **_: None)
    monkeypatch.setattr(sys, "excepthook", other)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    run()
    assert sys.excepthook is other


def test_ctrl_c_while_modules_are_imported_ends_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupt)
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == INTERRUPTED == ExitCode.INTERRUPTED


def test_pydantic_looks_for_no_plugins_unless_it_has_done_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "main", lambda **_: None)
    loaded = sys.modules.get(LOADER)
    run()
    assert loaded is None or sys.modules[LOADER] is loaded
    monkeypatch.delitem(sys.modules, LOADER, raising=False)
    run()
    loader: Any = sys.modules[LOADER]
    assert (loader.__name__, loader.get_plugins()) == (LOADER, ())


def test_a_crash_is_its_place_and_its_class(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("s3cret")
    except ValueError as error:
        report_crash_without_text(ValueError, error, error.__traceback__)
    shown = capsys.readouterr()
    assert shown.out == ""
    first, *places, last = shown.err.splitlines()
    assert first == "internal error:"
    assert any("test_main.py" in place for place in places)
    assert last == "ValueError (its text is left out: it may contain a credential)"
    assert "s3cret" not in last


@pytest.mark.parametrize("name", utcp_ws_mcp.__all__)
def test_every_name_of_the_api_can_be_imported(name: str) -> None:
    assert getattr(utcp_ws_mcp, name) is not None


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'utcp_ws_mcp' has no attribute 'zzz'"):
        _ = utcp_ws_mcp.zzz
