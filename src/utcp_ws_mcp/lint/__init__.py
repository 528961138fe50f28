"""What will hurt in a manifest that is right: one sentence for each place, for the command `check`."""

from __future__ import annotations

from collections.abc import Iterator

from ..client.manifest_files import LoadedManifest
from ..errors import Problem
from ..manifest.models.base import Json
from ..manifest.validation import strip_comments
from .hardcoded_secrets import check_hardcoded_secrets, check_insecure_transport
from .let_bindings import check_let_bindings
from .session_values import check_session_values
from .tools import check_tools
from .unused_fields import check_ineffective_fields, check_unused_variables


def lint_manifest(document: Json, loaded: LoadedManifest) -> Iterator[Problem]:
    """All advice on a manifest; `document` is its JSON as it was written."""
    written = strip_comments(document)
    yield from check_hardcoded_secrets(written)
    yield from check_unused_variables(written, loaded.manifest)
    for entry in loaded.manifest.entries:
        plans = loaded.tools[entry.name]
        yield from check_insecure_transport(entry)
        yield from check_ineffective_fields(entry, plans)
        yield from check_session_values(entry)
        yield from check_let_bindings(entry)
        yield from check_tools(entry, plans)
