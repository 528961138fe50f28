"""Import a description: find its format, read it, choose operations, and write the manifest and the report."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..errors import ImportFailed
from ..manifest.variables import VARIABLE
from ..records import Record, replace
from .assembly import assemble
from .detection import detect
from .failures import Inexpressible
from .merging import with_marks
from .model import TITLES, Description, Document, Format, ImportOptions
from .references import References
from .report import report_lines
from .selection import Selection, select

COMMENT_LINES = 12
"""Lines of the report that the comment of the manifest has."""


class Imported(Record):
    """What an import gives: the manifest, the report, and what they were made of."""

    manifest: Document
    report: list[str]
    description: Description
    selection: Selection


def import_document(
    document: Any,
    options: ImportOptions,
    source: str,
    format: Format | None = None,  # noqa: A002  # the name of the option
    others: Mapping[str, Any] | None = None,
    fields: Document | None = None,
) -> Imported:
    """Return the manifest for a description.

    Args:
        document: The parsed document, or the text of a GraphQL schema.
        options: The options of `import`.
        source: What the document is called in messages.
        format: Its format, if it is known.
        others: The files that it refers to, by their path relative to its folder.
        fields: Fields that every endpoint needs, as it was found when it was asked.

    Raises:
        ImportFailed: if nothing can be imported.
    """
    kind = format or detect(document, source)
    try:
        description = describe(document, options, source, kind, others)
    except Inexpressible as reason:
        raise ImportFailed(
            f"{source} cannot be imported: {reason}. Correct it.", code="description-malformed"
        ) from None
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        # A document may have anything anywhere: a part that no reader expects must not end in a traceback.
        message = (
            f"{source} is no {TITLES[kind]} document that can be read: a part of it has another form than the format "
            f"demands ({type(error).__name__}). Check it with a validator of the format."
        )
        raise ImportFailed(message, code="description-malformed") from error
    if fields:
        endpoints = {key: {**each, **fields} for key, each in description.endpoints.items()}
        description = replace(description, endpoints=endpoints)
    selection = select(description.operations, options)
    if not selection.kept:
        lines = report_lines(description, selection)
        reasons = " ".join(line for line in lines if line.startswith(("Left out", "Skipped")))
        what = f"nothing is imported. {reasons} Change --include, --exclude or --tag, or the document."
        if not reasons:
            what = "nothing is imported: it describes no operation. Give a document that has operations."
        raise ImportFailed(f"{source}: {what}", code="nothing-to-import")
    content = assemble(description, selection.kept, options)
    description = replace(description, variables=_variables_of(content, description.variables))
    report = report_lines(description, selection)
    comment = [f"Imported from {source}. {report[0]}", *report[1:COMMENT_LINES]]
    manifest = {"$comment": comment, **content}
    return Imported(with_marks(manifest), report, description, selection)


def _variables_of(content: Document, described: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a manifest: those that the document describes, as far as they are used, and of URLs."""
    used = set(re.findall(r"\w+", json.dumps(content)))
    urls = " ".join(str(each.get("url", "")) for each in content.get("manual_call_templates", [content]))
    named = (name for name in VARIABLE.findall(urls) if name and name not in described)
    of_urls = dict.fromkeys(named, "a part of the URL")
    return {**{name: what for name, what in described.items() if name in used}, **of_urls}


def describe(
    document: Any, options: ImportOptions, source: str, kind: Format, others: Mapping[str, Any] | None
) -> Description:
    """Return the operations of a document of a known format."""
    if kind is Format.OPENRPC:
        from .openrpc.importer import import_openrpc
        from .openrpc.introspection import as_openrpc

        rewritten = as_openrpc(document)
        return import_openrpc(rewritten, References(rewritten, others, source), options, source)
    if kind is Format.ASYNCAPI:
        from .asyncapi.importer import import_asyncapi

        return import_asyncapi(document, References(document, others, source), options, source)
    if kind is Format.GRAPHQL:
        from .graphql.importer import import_graphql

        return import_graphql(document, options, source)
    return _describe_other(document, options, source, kind, others)


def _describe_other(
    document: Any, options: ImportOptions, source: str, kind: Format, others: Mapping[str, Any] | None
) -> Description:
    """Return the operations of a document of a format of one program, or of a recording."""
    if kind is Format.CDP:
        from .cdp import import_cdp

        return import_cdp(document, options, source)
    if kind is Format.OBS:
        from .obs import import_obs

        return import_obs(document, options, source)
    if kind is Format.HAR:
        from .har import import_har

        return import_har(document, options, source)
    if kind is Format.HOMEASSISTANT:
        from .homeassistant import import_services

        return import_services(document, options, source)
    from .json_schema_pairs import import_json_schemas

    return import_json_schemas(document, References({}, others), options, source)
