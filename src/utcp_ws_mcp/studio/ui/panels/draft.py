"""The panel Draft: what the recorder makes of the conversation, or `import` of a description, as a manifest."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from nicegui import events, ui

from ....errors import BridgeError
from ....importers.reading import MAX_SOURCE_BYTES
from ...drafting import Drafted, draft_conversation, draft_from_address, draft_from_text
from ...merging import merge_draft
from ...session import Topic
from ..context import PageContext
from ..editor import EditorSupport
from ..messages import MessageView

REDRAFT_SECONDS: Final = 0.5
"""How often a draft is made again while messages are marked."""


def build(context: PageContext) -> None:
    """Draw the panel."""
    ui.label("From messages to a manifest").classes("studio-heading").props("role=heading aria-level=2")
    panel = _Panel(context)
    panel.draw_sources()
    with ui.element("div").classes("studio-halves"):
        with ui.column().classes("studio-box"):
            MessageView(context)
        with ui.column().classes("studio-box"):
            panel.draw_draft()


class _Panel:
    """Where a draft comes from, and the draft."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._session = context.session
        self._is_stale = False
        context.listen(Topic.CONVERSATION, self._marked)

    def draw_sources(self) -> None:
        """Draw the buttons for each source."""
        with ui.row().classes("studio-row"):
            ui.button("Draft from the conversation", icon="auto_fix_high", on_click=self._from_conversation).props(
                "no-caps unelevated"
            )
            self._address = ui.input(
                "or from a description at a URL", placeholder="https://api.example.com/asyncapi.json"
            )
            self._address.props("dense outlined spellcheck=false").classes("studio-grow")
            self._address.on("keydown.enter", self._from_address)
            ui.button("Import", on_click=self._from_address).props("no-caps flat")
        with ui.expansion("From a file, such as a HAR of a browser, or from text").props("dense").classes("w-full"):
            # Hidden, because its own button has no name for screen readers.
            upload = ui.upload(auto_upload=True, max_file_size=MAX_SOURCE_BYTES).classes("hidden")
            upload.on_upload(self._from_file).on_rejected(self._too_large)
            choose = ui.button("Choose a description or a HAR file …", icon="upload_file")
            choose.props("no-caps outline").on_click(lambda: upload.run_method("pickFiles"))
            self._text = ui.textarea("or its text").props("dense outlined spellcheck=false").classes("w-full")
            ui.button("Import the text", on_click=self._from_text).props("no-caps flat")

    def draw_draft(self) -> None:
        """Draw the draft and what is said of it."""
        with ui.row().classes("studio-row"):
            self._source = ui.label().classes("studio-grow").props("role=status")
            self._add = ui.button("Add its tools to the manifest", icon="playlist_add", on_click=self._merge)
            self._add.props("no-caps outline")
            self._use = ui.button("Use as the manifest", icon="arrow_forward", on_click=self._ask).props("no-caps")
        self._notes = ui.column().classes("w-full gap-1")
        self._draft = ui.codemirror("", language="JSON", line_wrapping=True).classes("studio-editor")
        EditorSupport(self._draft, "Draft", readonly=True)
        with ui.dialog().props('aria-label="Replace the manifest"') as self._dialog, ui.card():
            ui.label("The manifest has changes that are not saved. Replace them with the draft?")
            with ui.row():
                ui.button("Replace", on_click=self._take).props("no-caps unelevated")
                ui.button("Cancel", on_click=self._dialog.close).props("no-caps flat")
        self._show()
        ui.timer(REDRAFT_SECONDS, self._redraft)

    def _marked(self) -> None:
        drafted = self._session.drafted
        self._is_stale = drafted is not None and drafted.is_of_conversation

    async def _redraft(self) -> None:
        if self._is_stale:
            self._is_stale = False
            await self._from_conversation()

    async def _from_conversation(self) -> None:
        await self._make(draft_conversation(self._session.conversation))

    async def _from_address(self) -> None:
        if self._address.value:
            await self._make(draft_from_address(self._address.value, self._session.environ))

    async def _from_text(self) -> None:
        if self._text.value:
            await self._make(draft_from_text(self._text.value, "the text", self._session.conversation))

    def _too_large(self) -> None:
        self._context.say("This file is too large.", "negative")

    async def _from_file(self, event: events.UploadEventArguments) -> None:
        try:
            text = (await event.file.read()).decode("utf-8-sig")
        except UnicodeDecodeError:
            self._context.say(f"{event.file.name} is not UTF-8 text.", "negative")
            return
        await self._make(draft_from_text(text, event.file.name, self._session.conversation))

    async def _make(self, drafting: Awaitable[Drafted]) -> None:
        self._source.text = "drafting …"
        try:
            self._session.drafted = await drafting
        except BridgeError as failed:
            self._context.report(failed)
        self._show()

    def _show(self) -> None:
        drafted = self._session.drafted
        self._use.set_enabled(drafted is not None)
        self._add.set_enabled(drafted is not None)
        self._notes.clear()
        self._source.text = f"Draft from {drafted.source}" if drafted is not None else "There is no draft yet."
        if drafted is None:
            return
        self._draft.set_value(drafted.text)
        with self._notes:
            for note in drafted.notes:
                ui.label(note).classes("studio-muted break-words")

    def _merge(self) -> None:
        if self._session.drafted is None:
            return
        try:
            merged = merge_draft(self._session.manifest.text, self._session.drafted.text)
        except BridgeError as refused:
            self._context.report(refused)
            return
        self._session.set_text(merged.text)
        self._context.open_panel("manifest")
        self._context.say(merged.summary, "positive")

    def _ask(self) -> None:
        if self._session.manifest.is_changed:
            self._dialog.open()
        else:
            self._take()

    def _take(self) -> None:
        self._dialog.close()
        if self._session.drafted is not None:
            self._session.set_text(self._session.drafted.text)
            self._context.open_panel("manifest")
