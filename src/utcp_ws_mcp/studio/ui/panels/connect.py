"""The panel Connect: talk to an endpoint, and see the conversation as it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nicegui import background_tasks, ui

from ....errors import BridgeError
from ....manifest.invisible import escape_invisible
from ...connect_form import ConnectForm
from ...conversation import State
from ..context import PageContext
from ..messages import REFRESH_SECONDS, MessageView
from ..variables import VariableFields

_STATES: Final = {State.CLOSED: "not connected", State.CONNECTING: "connecting …", State.OPEN: "connected"}


def build(context: PageContext) -> None:
    """Draw the panel."""
    ui.label("Talk to an endpoint").classes("studio-heading").props("role=heading aria-level=2")
    variables = VariableFields(context, context.session.form.variables)
    _draw_endpoint(context, variables.show)
    variables.draw()
    box = _MessageBox(context, variables.show)
    MessageView(context, box.use)


def _draw_endpoint(context: PageContext, changed: Callable[[], None]) -> None:
    session, form = context.session, context.session.form
    conversation = session.conversation

    def begin() -> None:
        # Not of this page: the connection stays open while it is loaded again. It does nothing if there is one.
        background_tasks.create(conversation.run(form, session.environ), name="conversation")

    async def toggle() -> None:
        if conversation.state is State.CLOSED:
            begin()
        else:
            await conversation.close()
        show_state()

    with ui.row().classes("studio-row"):
        url = ui.input("URL of the endpoint", value=form.url, placeholder="wss://api.example.com/ws")
        url.props('dense outlined autocomplete=off spellcheck=false input-class="studio-mono"').classes("studio-grow")
        url.on("keydown.enter", begin)
        button = ui.button("Connect", on_click=toggle).props("no-caps unelevated")
        state = ui.label().props("role=status")
    problem = ui.label().props("role=alert").classes("studio-error break-words w-full")
    with ui.expansion("Headers and subprotocol").classes("w-full").props("dense"), ui.row().classes("studio-row"):
        headers = ui.textarea("Headers, one Name: value in each line", value=form.headers)
        headers.props("dense outlined autogrow spellcheck=false").classes("studio-grow")
        protocols = ui.input("Subprotocols, with commas", value=form.protocols)
        protocols.props("dense outlined spellcheck=false").classes("studio-grow")
    for field, name in ((url, "url"), (headers, "headers"), (protocols, "protocols")):
        _keep(field, form, name, changed)

    def show_state() -> None:
        state.text = _STATES[conversation.state]
        problem.text = escape_invisible(conversation.problem)
        problem.set_visibility(bool(problem.text))
        button.text = "Connect" if conversation.state is State.CLOSED else "Disconnect"

    show_state()
    ui.timer(REFRESH_SECONDS, show_state)


def _keep(field: ui.input | ui.textarea, form: ConnectForm, name: str, changed: Callable[[], None]) -> None:
    """Write what is typed into the form, which outlives the page."""

    def write() -> None:
        setattr(form, name, field.value or "")
        changed()

    field.on_value_change(write)


class _MessageBox:
    """The box to write a message in, with what was sent before."""

    def __init__(self, context: PageContext, changed: Callable[[], None]) -> None:
        self._context = context
        form = context.session.form
        with ui.row().classes("studio-row"):
            self._field = ui.textarea("Message; Ctrl+Enter sends it", value=form.message)
            self._field.props('dense outlined autogrow spellcheck=false input-class="studio-mono"')
            self._field.classes("studio-grow")
            self._field.on("keydown.ctrl.enter", self._send).on("keydown.meta.enter", self._send)
            self._field.on("keydown.alt.up", lambda: self.use(form.recall(1)))
            self._field.on("keydown.alt.down", lambda: self.use(form.recall(-1)))
            binary = ui.checkbox("hexadecimal", value=form.binary)
            binary.on_value_change(lambda event: setattr(form, "binary", event.value))
            ui.button("Send", icon="send", on_click=self._send).props("no-caps unelevated")
            with ui.button("History", icon="history").props("no-caps flat") as history:
                self._menu = ui.menu()
                ui.tooltip("Alt+Up and Alt+Down in the box go through it, too")
            history.on("click", self._show_history)
        _keep(self._field, form, "message", changed)

    def use(self, text: str) -> None:
        """Put a text into the box."""
        self._field.set_value(text)
        self._field.run_method("focus")

    async def _send(self) -> None:
        session = self._context.session
        if not session.form.message:
            return
        try:
            await session.conversation.send(session.form.outgoing())
        except BridgeError as failed:
            self._context.report(failed)
            return
        session.form.remember()

    def _show_history(self) -> None:
        self._menu.clear()
        with self._menu:
            history = self._context.session.form.history
            if not history:
                ui.menu_item("Nothing was sent yet.").props("disable")
            for text in reversed(history):
                ui.menu_item(text[:120], lambda text=text: self.use(text))
