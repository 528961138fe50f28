"""What a tab of the browser works on. It outlives the page: a reload shows the same again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Final

import anyio

from ..client.catalog import catalog_files, find_manifest
from ..client.manifest_files import LoadedManifest, load_text, read_manifest_text
from ..errors import AuthoringRefused, BridgeError
from ..observability.secret_search import SecretGroup
from ..records import MutableRecord, Record, field
from .connect_form import ConnectForm
from .conversation import Conversation
from .drafting import Drafted
from .installing import InstallForm
from .judging import Judgement, judge
from .live_bridge import LiveBridge
from .manifest_text import ManifestText

NEW_FILE: Final = "manifest.json"
"""What a manifest without a file is called in problems; its relative paths start from the working directory."""


class Topic(Enum):
    """What can change, for those who show it."""

    MANIFEST = "manifest"
    VARIABLES = "variables"
    CONVERSATION = "conversation"
    DRAFT = "draft"
    PANEL = "panel"
    TOOLS = "tools"


Listener = Callable[[], None]


class StudioOptions(Record):
    """The options of the command.

    Attributes:
        manifest: The manifest to open, or the name of an entry of the catalogue; None: a new one.
        environ: The variables of the environment and of `--env-file`.
        env_files: The files of `--env-file`, which a host has to read as well.
    """

    not_in_repr: ClassVar = ("environ",)
    manifest: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    env_files: Sequence[Path] = ()


class StudioSession(MutableRecord, dict=True):
    """The state of one tab. Every change is announced to the listeners of its topic.

    Attributes:
        options: The options of the command.
        manifest: The manifest that is edited.
        form: What is typed into the panel Connect.
        conversation: What was sent and received there, and by the tools that were called.
        typed_variables: The values that were typed on the page: never saved, never shown again.
        typed_arguments: What was typed into the form of each tool, by the name of the tool and of the field.
        tool: The tool that was chosen last.
        installation: What is typed into the panel Install.
        drafted: The draft that the panel Draft shows.
        panel: The panel that is open.
    """

    not_in_repr: ClassVar = ("typed_variables", "typed_arguments", "_listeners")
    options: StudioOptions
    manifest: ManifestText = field(default_factory=ManifestText)
    form: ConnectForm = field(default_factory=ConnectForm)
    conversation: Conversation = field(default_factory=Conversation)
    typed_variables: dict[str, str] = field(default_factory=dict)
    typed_arguments: dict[str, dict[str, Any]] = field(default_factory=dict)
    tool: str = ""
    installation: InstallForm = field(default_factory=InstallForm)
    drafted: Drafted | None = None
    panel: str = "connect"
    _listeners: dict[Topic, list[Listener]] = field(default_factory=dict)
    _judged: object = None
    _judgements: Mapping[int, Judgement] = field(default_factory=dict)

    @cached_property
    def live(self) -> LiveBridge:
        """Return what serves the manifest, for the panels that call tools and watch endpoints."""
        live = LiveBridge(lambda: self.announce(Topic.TOOLS))
        live.observe(self.conversation.observer(live.redactor))
        return live

    @property
    def environ(self) -> dict[str, str]:
        """Return the variables that manifests and messages may use: what was typed comes first."""
        return {**self.options.environ, **self.typed_variables}

    def listen(self, topic: Topic, listener: Listener) -> Callable[[], None]:
        """Call a listener after each change of a topic; return what ends that."""
        self._listeners.setdefault(topic, []).append(listener)
        return lambda: self._listeners[topic].remove(listener)

    def announce(self, topic: Topic) -> None:
        """Tell the listeners of a topic that it changed."""
        for listener in tuple(self._listeners.get(topic, ())):
            listener()

    def open_panel(self, panel: str) -> None:
        """Remember the panel that is open."""
        self.panel = panel
        self.announce(Topic.PANEL)

    def set_text(self, text: str) -> None:
        """Replace the text of the manifest."""
        if text != self.manifest.text:
            self.manifest.text = text
            self.announce(Topic.MANIFEST)

    def save(self, path: Path) -> None:
        """Write the manifest to a file, which is its file from then on.

        Raises:
            AuthoringRefused: if it cannot be written.
        """
        before, self.manifest.path = self.manifest.path, path
        try:
            self.manifest.save()
        except AuthoringRefused:
            self.manifest.path = before
            raise
        self.announce(Topic.MANIFEST)

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable for this session, or forget it where the value is empty."""
        if value:
            self.typed_variables[name] = value
        else:
            self.typed_variables.pop(name, None)
        self.announce(Topic.VARIABLES)

    def load(self, extra: Mapping[str, str] | None = None) -> LoadedManifest:
        """Return the manifest as it is typed now.

        Args:
            extra: More values of variables.

        Raises:
            InvalidManifest: with every problem.
        """
        file = self.manifest.path or Path(NEW_FILE)
        return load_text(self.manifest.text, file, {**self.environ, **(extra or {})})

    async def judgement(self, number: int) -> Judgement | None:
        """Return what the manifest takes a message of the last connection for; None if it says nothing of it."""
        conversation, url = self.conversation, self.conversation.url
        if url is None:
            return None
        messages = conversation.own_messages()
        version = self.manifest.text, tuple(self.environ.items()), url, [each[0] for each in messages]
        if version != self._judged:
            self._judged, self._judgements = version, {}
            # A message or a manifest that is nested very deeply, or a manifest that is not right yet, has none.
            with suppress(BridgeError, RecursionError):
                judging = partial(judge, self.load(), url, messages, conversation.recording.redact)
                self._judgements = await anyio.to_thread.run_sync(judging)
        return self._judgements.get(number)

    async def close(self) -> None:
        """End all connections; what was typed stays."""
        self.live.close()
        await self.conversation.close()


def open_session(options: StudioOptions) -> StudioSession:
    """Return a session with the manifest of the options; an entry of the catalogue becomes a new manifest.

    A manifest with nothing in it begins with the panel Connect, which a draft of it starts from.

    Raises:
        InvalidManifest: if the manifest cannot be read.
    """
    if options.manifest is None:
        return StudioSession(options)
    file = find_manifest(options.manifest)
    is_copy = file in catalog_files().values()
    manifest = ManifestText(read_manifest_text(file)) if is_copy else ManifestText.open(file)
    return StudioSession(options, manifest, panel="connect" if manifest.is_new else "manifest")


MAX_SESSIONS: Final = 30
"""Tabs that are remembered; the one that was left first is forgotten when there are more."""


class Sessions(MutableRecord):
    """The sessions of all tabs, by the identifier that the browser gives a tab. A tab that is left can come back."""

    options: StudioOptions
    _by_tab: dict[str, StudioSession] = field(default_factory=dict)
    _pages: Counter[str] = field(default_factory=Counter)

    def enter(self, tab: str) -> StudioSession:
        """Return the session of a tab, which is new if the tab is.

        Raises:
            InvalidManifest: if the manifest of the options cannot be read any more.
        """
        session = self._by_tab.pop(tab, None) or open_session(self.options)
        self._by_tab[tab] = session
        self._pages[tab] += 1
        left = [each for each in self._by_tab if not self._pages[each]]
        for each in left[: max(0, len(self._by_tab) - MAX_SESSIONS)]:
            del self._by_tab[each]
        return session

    async def leave(self, tab: str) -> None:
        """End the connections of a tab that shows the page no more; a page that is loaded again has entered before."""
        self._pages -= Counter([tab])
        if not self._pages[tab] and tab in self._by_tab:
            await self._by_tab[tab].close()

    async def close(self) -> None:
        """End the connections of all tabs."""
        for session in self._by_tab.values():
            await session.close()

    def redact(self, text: str) -> str:
        """Return a text, such as a line of the log, without the values that were typed in any tab."""
        values = [value for session in self._by_tab.values() for value in session.typed_variables.values()]
        return SecretGroup(values).redact(text)
