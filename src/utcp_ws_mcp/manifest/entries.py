"""What a manifest is once it is loaded: its call templates and their tools, checked and merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import ClassVar

from ..errors import MissingVariable
from ..records import Record
from .models.base import Json
from .models.call_template import CallTemplate
from .models.manual import ManualOptions, Tool

ReadFile = Callable[[PurePath, str], bytes]
"""Reads a file that a manifest names: takes the folder of the manifest and the name, raises InvalidTemplate."""


class ResolvedTool(Record):
    """A tool with its complete call template, after everything inherited is merged.

    Attributes:
        tool: The tool as its manual describes it.
        template: The call template of its calls.
        path: Its JSON path in the manifest or in the manual.
        remote_fields: The fields of the template that came over the network.
        discovered: Whether the tool itself came over the network.
        digest: The digest of the definition of a discovered tool; otherwise empty.
        is_template: Whether it represents the call template of the entry instead of a tool.
    """

    tool: Tool
    template: CallTemplate
    path: str = ""
    remote_fields: frozenset[str] = frozenset()
    discovered: bool = False
    digest: str = ""
    is_template: bool = False


class ManifestEntry(Record):
    """One call template of a manifest, with the tools and options of its manual.

    Attributes:
        name: The name of the manual, unique in a manifest.
        path: Its JSON path; empty if the manifest is one call template.
        raw: The merged document, from which discovered tools inherit.
        template: The call template; None for a UTCP manual as a manifest, in which each tool has its own URL.
        options: The options for the manual as a whole.
        tools: The tools that the manifest lists.
        variables: The values of all variables that the entry refers to.
        own_variables: The values of the variables that are named for this manual (UTCP's namespace).
        folder: The folder that relative paths start from.
        read_file: Reads a file relative to `folder`.
        caller_variables: The variables whose values a caller brings.
        awaits_caller: Whether stand-ins are in their place: then nothing may be sent for the entry itself.
    """

    not_in_repr: ClassVar = ("raw", "template", "variables", "own_variables", "read_file")
    name: str
    path: str
    raw: Mapping[str, Json]
    template: CallTemplate | None
    options: ManualOptions
    tools: tuple[ResolvedTool, ...]
    variables: Mapping[str, str]
    own_variables: Mapping[str, str]
    folder: PurePath
    read_file: ReadFile | None = None
    caller_variables: frozenset[str] = frozenset()
    awaits_caller: bool = False

    def is_equivalent(self, other: ManifestEntry) -> bool:
        """Return whether the endpoint and its options are the same; paths in the file are not compared."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("raw", "template", "options", "variables", "own_variables", "folder")
        )

    @property
    def own_values(self) -> Mapping[str, str]:
        """Return the values of the variables that callers do not bring."""
        return {name: value for name, value in self.variables.items() if name not in self.caller_variables}

    @property
    def caller_values(self) -> tuple[str, ...]:
        """Return the values that a caller has brought, which are all secret; none if stand-ins are in their place."""
        return () if self.awaits_caller else tuple(self.variables[name] for name in sorted(self.caller_variables))

    @property
    def uses_discovery(self) -> bool:
        """Return whether the manual of the endpoint is requested."""
        if self.template is None:
            return False
        lists_something = self.options.tools is not None or bool(self.template.feeds)
        return not lists_something or self.options.discovery is not None


class DisabledEntry(Record):
    """An entry that cannot run, because these variables are not set.

    Attributes:
        name: The name of the manual.
        missing: The variables.
        path: The JSON path of the entry.
        similar: The files that have a variable with a similar name, each with that name.
    """

    name: str
    missing: tuple[str, ...]
    path: str = ""
    similar: tuple[tuple[str, str], ...] = ()

    def error(self) -> MissingVariable:
        """Return the error that names the variables."""
        return MissingVariable(self.missing, self.name, self.similar)


class Manifest(Record):
    """A loaded manifest: its entries, those that are disabled, and a warning (one line) for each skipped part."""

    source: str
    entries: tuple[ManifestEntry, ...]
    disabled: tuple[DisabledEntry, ...] = ()
    warnings: tuple[str, ...] = ()
