"""The panel Install: choose a host, see the difference, apply it. Nothing is written before."""

from __future__ import annotations

from nicegui import run, ui

from ....errors import InstallError
from ....hosts.trial_start import compile_byte_code
from ....manifest.invisible import escape_invisible
from ...installing import ShownInstallation, host_titles, preview
from ...session import Topic
from ..context import PageContext


def build(context: PageContext) -> None:
    """Draw the panel."""
    InstallPanel(context)


class InstallPanel:
    """The change of a host's configuration that a person sees, and then applies."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._shown = ShownInstallation()
        titles = host_titles()
        ui.label("Install the server in a host").classes("studio-heading").props("role=heading aria-level=2")
        form = context.session.installation
        self._host = ui.select(titles, label="Host", value=form.host, on_change=self._typed)
        self._host.props("outlined dense").classes("w-full")
        self._name = ui.input("Name of the server in the host", value=form.name, on_change=self._typed)
        self._name.props["hint"] = "if it is empty, the name in the manifest"
        self._file = ui.input("Configuration file of the host", value=form.file, on_change=self._typed)
        self._file.props["hint"] = "only if it is not in its usual place"
        for element in (self._name, self._file):
            element.props("outlined dense autocomplete=off spellcheck=false debounce=300").classes("w-full")
        self._problem = ui.label().props("role=alert").classes("studio-error whitespace-pre-wrap break-words")
        self._to_manifest = ui.button("Open the manifest", on_click=lambda: context.open_panel("manifest"))
        self._to_manifest.props("outline no-caps")
        self._notes = ui.label().classes("whitespace-pre-wrap break-words")
        self._diff = ui.label().classes("studio-pre")
        self._diff.props("tabindex=0 role=group aria-label='Change of the configuration'")
        self._apply = ui.button("Apply", on_click=self._write).props("no-caps")
        self._done = ui.label().props("role=status").classes("whitespace-pre-wrap break-words")
        context.on_open("install", self._show)
        context.listen(Topic.MANIFEST, self._show_if_open)
        self._show()

    def _show_if_open(self) -> None:
        if self._context.session.panel == "install":
            self._show()

    def _typed(self) -> None:
        form = self._context.session.installation
        form.host, form.name, form.file = str(self._host.value), self._name.value or "", self._file.value or ""
        self._show()

    def _show(self) -> None:
        """Show what would change now."""
        self._done.text = ""
        session = self._context.session
        shown = self._shown = preview(
            session.installation.place(),
            session.manifest.path,
            session.options.env_files,
            session.environ,
            changed=session.manifest.is_changed,
        )
        self._problem.text = escape_invisible(shown.problem)
        self._problem.set_visibility(bool(shown.problem))
        self._to_manifest.set_visibility(session.manifest.path is None or session.manifest.is_changed)
        self._notes.text = escape_invisible("\n".join(shown.notes))
        self._diff.text = escape_invisible(shown.diff)
        self._diff.set_visibility(bool(shown.diff))
        self._apply.set_enabled(shown.change is not None)
        if not shown.diff and not shown.problem:
            self._done.text = escape_invisible(f"Nothing to change: {shown.success}.")

    async def _write(self) -> None:
        change, success = self._shown.change, self._shown.success
        if change is None:
            return
        self._apply.disable()
        try:
            written = await run.io_bound(change.apply)
        except InstallError as failed:
            self._show()
            self._problem.text = escape_invisible(str(failed))
            self._problem.set_visibility(True)
            return
        self._show()
        self._done.text = escape_invisible(f"{written}\n{success}.")
        await run.io_bound(compile_byte_code)
