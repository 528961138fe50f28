"""Codes of tools that an endpoint announces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DISCOVERY: Final[Mapping[str, str]] = {
    "discovery-timeout": "The endpoint did not announce its tools in time. It probably does not speak UTCP.",
    "tool-changed": "A tool is withheld because its definition changed after it was approved.",
    "tool-not-approved": 'A tool is withheld because it was never approved and `pin` is `"strict"`.',
    "pins-not-saved": "The approved tools cannot be stored in the state folder.",
    "pins-not-readable": (
        "The file of approved tools exists and cannot be read, or has another form. Tools that are not approved are "
        "withheld, because a changed one would look new."
    ),
    "approval-refused": "`approve` was called for a tool that is not withheld, or that has another definition by now.",
    "too-many-approved": (
        "A tool is withheld because its manual has brought more different tools over time than are trusted on first "
        "use."
    ),
    "warnings-omitted": "A manual from the network caused more warnings than are shown.",
    "too-many-tools": "The manual has more tools than `max_tools`; only the first are offered.",
    "manual-too-large": (
        "The tools of a manual together take too many bytes, values, patterns or expressions, or too long to read. "
        "Only the first are offered."
    ),
    "tool-name-similar": (
        "A tool is withheld because hosts show its name like that of an approved tool: only characters differ that "
        "hosts replace."
    ),
    "tool-added": "A tool was added to a manual after the manual was first seen. It is offered.",
    "remote-manual-invalid": "The message that was taken as the manual has no list of tools.",
    "remote-tool-invalid": (
        "The definition of a tool is wrong: it is not an object, another tool has the same name, it is "
        "too large or nested too deeply, or it has another `call_template_type`. The rest of the message names the "
        "problem."
    ),
    "remote-field-not-allowed": (
        "A field of `tool_call_template` is unknown, or not allowed in a manual from the network. It is ignored."
    ),
    "remote-credentials-not-allowed": (
        "The tool has credentials, or a `token_url`, for another origin than that of its manual. A secret "
        "would be sent elsewhere."
    ),
    "remote-variable-not-set": "The `auth` of the tool uses a variable that is not set for this manual.",
    "schema-too-complex": (
        "The `inputs` or `outputs` of the tool exceed a limit: nesting, size, number of parts, with "
        "references replaced, or references that lead to themselves in several ways. The time to validate a "
        "value could grow without bound."
    ),
    "schema-pattern-unsupported": (
        "A regular expression in the schema of the tool is too long, or uses lookaround, backreferences or "
        "nested repetition; or there are too many."
    ),
}
