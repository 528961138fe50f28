"""The panel Manifest: edit it, see what is wrong as one types, and save it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from nicegui import ui

from ....errors import BridgeError
from ...checking import Finding, Severity, check_text
from ...manifest_text import OnDisk
from ...session import NEW_FILE, Topic
from ..context import PageContext
from ..editor import ManifestEditor, describe_at
from ..variables import VariableFields

CHECK_SECONDS: Final = 0.4
"""How often a text that has changed is checked."""

WATCH_SECONDS: Final = 2.0
"""How often the file is compared with what was read."""

_ICONS: Final = {Severity.ERROR: "error", Severity.MISSING: "key_off", Severity.WARNING: "warning"}
_NOTHING_YET: Final = "Nothing is written yet. Talk to an endpoint in the panel Connect and draft it, or write it here."
_FIRST_HELP: Final = (
    "Put the cursor on a field to read what it means; Ctrl+Space lists what can be written there. "
    "Escape, then Tab leaves the editor."
)


def build(context: PageContext) -> None:
    """Draw the panel."""
    ui.label("The manifest").classes("studio-heading").props("role=heading aria-level=2")
    _Panel(context)


class _Panel:
    """The editor with its findings and its file."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._session = context.session
        self._shown: list[Finding] | None = None
        self._save_as = _SaveAs(context, self._save_to)
        self._missing: tuple[str, ...] = ()
        self._draw_file()
        self._variables = VariableFields(context, self._variable_names)
        self._variables.draw()
        with ui.element("div").classes("studio-halves"):
            with ui.column().classes("studio-box"):
                self._editor = ManifestEditor(self._session.manifest.text, self._typed, self._moved, self._save)
            with ui.column().classes("studio-box"):
                self._summary = ui.label().props("role=status")
                self._list = ui.column().classes("w-full gap-1")
                ui.separator()
                self._help = ui.label(_FIRST_HELP).classes("studio-muted whitespace-pre-wrap").props("role=note")
        self._is_stale = True
        ui.timer(CHECK_SECONDS, self._check)
        ui.timer(WATCH_SECONDS, self._watch)
        context.listen(Topic.MANIFEST, self._show_text)
        context.listen(Topic.VARIABLES, self._check_soon)

    def _draw_file(self) -> None:
        with ui.row().classes("studio-row"):
            ui.button("Save", icon="save", on_click=self._save).props("no-caps unelevated")
            ui.button("Save as …", on_click=self._save_as.open).props("no-caps flat")
            self._file = ui.label().classes("studio-muted")
        with ui.row().classes("studio-row studio-box").props("role=alert") as self._conflict:
            self._conflict_text = ui.label().classes("studio-warning")
            self._reload_button = ui.button("Reload the file", on_click=self._reload).props("no-caps outline dense")
            ui.button("Keep mine and save", on_click=self._overwrite).props("no-caps outline dense")
            ui.button("Save mine as …", on_click=self._save_as.open).props("no-caps outline dense")
        self._conflict.visible = False
        self._show_file()

    def _typed(self, text: str) -> None:
        self._session.set_text(text)
        self._check_soon()

    def _show_text(self) -> None:
        """Show a text that came from elsewhere, such as a draft."""
        self._editor.set_text(self._session.manifest.text)
        self._show_file()
        self._check_soon()

    def _moved(self, offset: int) -> None:
        self._help.text = describe_at(self._session.manifest.text, offset) or _FIRST_HELP

    def _check_soon(self) -> None:
        self._is_stale = True

    async def _check(self) -> None:
        if not self._is_stale:
            return
        self._is_stale = False
        text = self._session.manifest.text
        checked = await anyio.to_thread.run_sync(check_text, self._session)
        if text == self._session.manifest.text:
            self._editor.show(text, checked.findings)
            self._show_findings(checked.findings)
            self._missing = checked.missing
            self._variables.show()

    def _variable_names(self) -> list[str]:
        """Return the variables that are missing; those that were typed stay, or their fields would go meanwhile."""
        return list(dict.fromkeys([*self._session.typed_variables, *self._missing]))

    def _show_findings(self, findings: Sequence[Finding]) -> None:
        counts = {kind: sum(each.severity is kind for each in findings) for kind in Severity}
        parts = [f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts.items() if count]
        self._summary.text = ", ".join(parts) or (_NOTHING_YET if self._session.manifest.is_new else "No problems.")
        if findings == self._shown:
            return
        self._shown = list(findings)
        self._list.clear()
        with self._list:
            for finding in findings:
                self._draw_finding(finding)

    def _draw_finding(self, finding: Finding) -> None:
        kind = "studio-error" if finding.severity is Severity.ERROR else "studio-warning"
        with ui.row().classes("no-wrap items-start gap-2 w-full"):
            ui.icon(_ICONS.get(finding.severity, "info")).classes(kind).props("aria-hidden=true")
            place = ui.button(f"Line {finding.line}", on_click=partial(self._editor.reveal, finding.line))
            place.props("no-caps flat dense").classes("flex-none")
            with ui.column().classes("gap-0 min-w-0"):
                ui.label(str(finding)).classes("break-words")
                if finding.description:
                    ui.label(finding.description).classes("studio-muted")

    def _show_file(self) -> None:
        manifest = self._session.manifest
        self._file.text = str(manifest.path) if manifest.path is not None else "not saved yet"

    def _watch(self) -> None:
        manifest = self._session.manifest
        state = manifest.on_disk()
        if state is OnDisk.CHANGED and not manifest.is_changed:
            self._reload()
            self._context.say(f"{manifest.name} was changed by another program, and is shown as it is now.")
            return
        self._show_conflict(state)

    def _show_conflict(self, state: OnDisk) -> None:
        name = self._session.manifest.name
        texts = {
            OnDisk.CHANGED: f"Another program changed {name} meanwhile. What you typed is still here.",
            OnDisk.GONE: f"Another program removed {name}. What you typed is still here.",
        }
        self._conflict_text.text = texts.get(state, "")
        self._conflict.visible = state is not OnDisk.SAME
        self._reload_button.visible = state is OnDisk.CHANGED

    def _reload(self) -> None:
        try:
            self._session.manifest.reload()
        except BridgeError as failed:
            self._context.report(failed)
            return
        self._show_conflict(OnDisk.SAME)
        self._session.announce(Topic.MANIFEST)

    def _save(self) -> None:
        manifest = self._session.manifest
        if manifest.path is None:
            self._save_as.open()
            return
        state = manifest.on_disk()
        self._show_conflict(state)
        if state is OnDisk.SAME:
            self._overwrite()
        else:
            self._context.say("Not saved: the file has changed. Choose what to do above the editor.", "warning")

    def _overwrite(self) -> None:
        path = self._session.manifest.path
        assert path is not None
        self._save_to(path)

    def _save_to(self, path: Path) -> None:
        try:
            self._session.save(path)
        except BridgeError as failed:
            self._context.report(failed)
            return
        self._show_conflict(OnDisk.SAME)
        self._context.say(f"{self._session.manifest.path} is saved.", "positive")


class _SaveAs:
    """Asks for a file, and once more before it replaces one."""

    def __init__(self, context: PageContext, save: Callable[[Path], None]) -> None:
        self._context = context
        self._save = save
        with ui.dialog().props('aria-label="Save the manifest as"') as self._dialog, ui.card():
            ui.label("Save the manifest as").props("role=heading aria-level=2")
            self._name = ui.input("File").props("outlined dense autofocus spellcheck=false").classes("w-96 max-w-full")
            self._name.on("keydown.enter", self._confirm).on_value_change(self._reset)
            self._warning = ui.label().classes("studio-warning").props("role=alert")
            with ui.row():
                self._button = ui.button("Save", on_click=self._confirm).props("no-caps unelevated")
                ui.button("Cancel", on_click=self._dialog.close).props("no-caps flat")

    def open(self) -> None:
        """Ask."""
        manifest = self._context.session.manifest
        self._name.value = str(manifest.path or Path.cwd() / NEW_FILE)
        self._reset()
        self._dialog.open()

    def _reset(self) -> None:
        self._warning.text, self._button.text = "", "Save"

    def _confirm(self) -> None:
        path = Path(str(self._name.value or "").strip() or NEW_FILE).expanduser()
        if path.exists() and not self._warning.text:
            self._warning.text, self._button.text = f"{path.name} exists already.", "Replace it"
            return
        self._dialog.close()
        self._save(path)
