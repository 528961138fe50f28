"""What will hurt in a manifest that is right: one sentence for each place, for the command `check`."""

from __future__ import annotations

from collections.abc import Iterator

from ..client.manifest_files import Loaded
from ..errors import Problem
from ..manifest.models.base import Json
from ..manifest.validation import without_comments
from .hardcoded_secrets import clear_secrets, open_roads
from .let_bindings import doubtful_lets
from .session_values import doubtful_values
from .tools import doubtful_tools
from .unused_fields import fields_without_effect, unused_variables


def advise(document: Json, loaded: Loaded) -> Iterator[Problem]:
    """All advice on a manifest; `document` is its JSON as it was written."""
    written = without_comments(document)
    yield from clear_secrets(written)
    yield from unused_variables(written, loaded.manifest)
    for entry in loaded.manifest.entries:
        plans = loaded.plans[entry.name]
        yield from open_roads(entry)
        yield from fields_without_effect(entry, plans)
        yield from doubtful_values(entry)
        yield from doubtful_lets(entry)
        yield from doubtful_tools(entry, plans)
