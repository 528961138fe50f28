"""Read a manual that came over the network: data that may do less than a manifest (sections 8 and 10)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final

from ..errors import Problem
from ..records import Record, replace
from .entries import ManifestEntry, ResolvedTool
from .inheritance import CALL_TEMPLATE_KEYS, apply_preset, extends, normalize
from .loader import WEBSOCKET, check_tool
from .manual_outline import (
    OVERTIME_REASON,
    ManualOutline,
    ToolOutline,
    outline_manual,
    too_large_warning,
)
from .models.base import Json
from .models.call_template import CallTemplate
from .models.manual import Tool
from .sanitize import remove_identifiers, sanitize_name, sanitize_strings, schema_problem
from .steps import Steps, complete
from .validation import join_path
from .variable_forms import argument_names, bind_template
from .variables import VARIABLE, WHOLE_STRING_VARIABLE, namespaced_variable, substitute

FORBIDDEN_KEYS: Final = frozenset({"network", "tls", "proxy", "pin", "before_connect", "before_message", "name"})
"""Fields that a call template from the network may not set: they decide what may be reached, and with which secrets."""

_CROSS_ORIGIN_SAFE: Final = frozenset(
    {"call_template_type", "response_format", "timeout", "keep_alive", "request_id", "typed_arguments", "reply"}
    | {"ignore", "limits", "framing", "send_as", "network"}
)
"""What a tool at another origin inherits: only fields that cannot hold a credential."""

_FIELDS_USING_LET: Final = frozenset({"let", "message", "then", "reply", "ignore", "stream", "auto_reply"})
_CAUTIOUS_HINTS: Final[Mapping[str, bool]] = {
    "readOnlyHint": False,
    "destructiveHint": True,
    "idempotentHint": False,
    "openWorldHint": True,
}
"""The hints that a manual from the network may give: those that ask for more caution. Titles would imitate others."""

_MAX_KEY_LENGTH: Final = 40
"""The maximum length of a remote key or value in a warning, in characters."""


def read_manual(
    document: Json, entry: ManifestEntry, redact: Callable[[str], str] = str
) -> tuple[list[ResolvedTool], list[str]]:
    """Return the tools of a manual as it arrived, of any shape, and a warning for each part that is not used."""
    return complete(read_manual_in_steps(complete(outline_manual(document, entry)), entry, redact))


def read_manual_in_steps(
    outline: ManualOutline, entry: ManifestEntry, redact: Callable[[str], str] = str
) -> Steps[tuple[list[ResolvedTool], list[str]]]:
    """Return the tools of a manual, and a warning for each part of it that is not used.

    It yields after each tool, so that the caller can serve others: the schemas of a tool may take some milliseconds.

    `${NAME}` is replaced in `auth` only, and only by variables that the user named for this manual.

    Args:
        outline: The manual.
        entry: The entry of the manifest that requested it.
        redact: Removes credentials from the texts of the manual.
    """
    tools: dict[str, ResolvedTool] = {}
    templates: dict[str, CallTemplate] = {}
    warnings = list(outline.warnings)
    for index, tool_outline in enumerate(outline.tools):
        path = f"tools[{index}]"
        tool, problems = _read_tool(tool_outline, entry, path, redact)
        if tool and tool.tool.name in tools:
            message = f"another tool of the manual is also named {tool.tool.name!r}."
            problem = Problem(join_path(path, "name"), message, code="remote-tool-invalid")
            problems, tool = [_add_consequence(problem)], None
        warnings += [_format_warning(entry.name, problem) for problem in problems]
        if tool:
            # In UTCP each tool has a call template, often the same: it is compiled once. `repr` shows types as well.
            template = templates.setdefault(repr(tool.tool.tool_call_template), tool.template)
            tools[tool.tool.name] = replace(tool, template=template)
        if (yield):
            warnings.append(too_large_warning(entry, OVERTIME_REASON, len(tools)))
            break
    return list(tools.values()), warnings


def skipped_tool_warning(manual: str, problem: Problem) -> str:
    """Return the warning that a tool of a remote manual is skipped, because of a problem at a path of the manual."""
    return _format_warning(manual, _add_consequence(problem))


def _format_warning(manual: str, problem: Problem) -> str:
    return str(replace(problem, path=f"{manual}: {problem.path}" if problem.path else manual))


def _add_consequence(problem: Problem) -> Problem:
    return replace(problem, message=f"{problem.message} Tool skipped.")


class RemoteTool(Record):
    """A tool of a manual, with its call template split into the fields that are used and those that are ignored."""

    not_in_repr: ClassVar = ("raw", "template", "redact")
    raw: Mapping[str, Json]
    entry: ManifestEntry
    template: Mapping[str, Json]
    ignored_keys: tuple[str, ...]
    redact: Callable[[str], str]

    @classmethod
    def parse(cls, raw: Mapping[str, Json], entry: ManifestEntry, redact: Callable[[str], str]) -> RemoteTool:
        """Split the call template of a tool."""
        own = raw.get("tool_call_template")
        own = own if isinstance(own, dict) else {}
        # UTCP writes the name of the manual into each call template: it is expected and needs no warning.
        forbidden = FORBIDDEN_KEYS - {"name"}
        # A list that extends what it inherits would take steps of the manifest, with their variables, as its own.
        ignored = tuple(
            key for key, value in own.items() if key not in CALL_TEMPLATE_KEYS or key in forbidden or extends(value)
        )
        used = {key: value for key, value in own.items() if key not in ignored and key != "name"}
        return cls(raw, entry, bind_template(normalize(used), argument_names(raw)), ignored, redact)

    @property
    def is_cross_origin(self) -> bool:
        """Return whether the tool has a URL at another origin than that of its manual."""
        return "url" in self.template and not _same_origin(str(self.template["url"]), self.manual_url)

    @property
    def manual_url(self) -> str:
        """The URL of the entry that requested the manual."""
        return str(self.entry.raw.get("url", ""))

    @property
    def remote_fields(self) -> frozenset[str]:
        """The fields of the merged call template that came over the network."""
        # At another origin the fields of a preset count as remote: its variables must not be sent there.
        return frozenset(apply_preset(self.template) if self.is_cross_origin else self.template)

    def bound_template(self) -> dict[str, Json]:
        """Return the call template with the variables of the manual in `auth`."""
        auth = self.template.get("auth")
        if not isinstance(auth, dict):
            return dict(self.template)
        variables = self.entry.own_variables
        bound = {key: substitute(text, variables) if isinstance(text, str) else text for key, text in auth.items()}
        return {**self.template, "auth": bound}

    def inherited(self) -> dict[str, Json]:
        """Return the document that the tool inherits from: without possible credentials at another origin."""
        raw = dict(self.entry.raw)
        if not _FIELDS_USING_LET.isdisjoint(self.template):
            for key in ("let", "before_message"):  # written for the messages of the entry, not for those of the tool
                raw.pop(key, None)
        if not self.is_cross_origin:
            return raw
        inherited = {key: value for key, value in raw.items() if key in _CROSS_ORIGIN_SAFE}
        if isinstance(reply := inherited.get("reply"), dict):
            # The one part of it that is a message, which may hold a credential.
            inherited["reply"] = {key: value for key, value in reply.items() if key != "cancel"}
        authority = {key: value for key, value in raw.get("tls", {}).items() if key == "ca_file"}
        return inherited | ({"tls": authority} if authority else {})

    def document(self) -> dict[str, Json]:
        """Return the tool as it is checked: known fields, in which every text is sanitized.

        The call template is the exception: it is what is sent to the endpoint, and shown nowhere but in a trace.
        """
        known = {key: value for key, value in self.raw.items() if key in Tool.model_fields and value is not None}
        known = {key: sanitize_strings(value, self.redact) for key, value in known.items()}
        if isinstance(name := known.get("name"), str):
            known["name"] = sanitize_name(name)
        known |= {key: remove_identifiers(known[key]) for key in ("inputs", "outputs") if key in known}
        hints = known.get("annotations")
        hints = hints if isinstance(hints, dict) else {}
        known["annotations"] = {key: hint for key, hint in _CAUTIOUS_HINTS.items() if hints.get(key) is hint}
        return {**known, "tool_call_template": self.bound_template()}

    def shown(self, text: str) -> str:
        """Return a key or value of the manual for a warning."""
        return sanitize_name(self.redact(text))[:_MAX_KEY_LENGTH]


def _read_tool(
    outline: ToolOutline, entry: ManifestEntry, path: str, redact: Callable[[str], str]
) -> tuple[ResolvedTool | None, list[Problem]]:
    """Return the tool, or None; and its problems, whose messages end with the consequence."""
    if outline.problem is not None:
        problem = outline.problem
        return None, [_add_consequence(replace(problem, path=join_path(path, problem.path) if problem.path else path))]
    remote = RemoteTool.parse(outline.raw, entry, redact)
    for check in _RULES:
        if findings := list(check(remote)):
            return None, [_add_consequence(replace(each, path=join_path(path, each.path))) for each in findings]
    message, own_path = (
        "not allowed in a manual from the network. Field ignored.",
        join_path(path, "tool_call_template"),
    )
    ignored = [
        Problem(join_path(own_path, remote.shown(key)), message, code="remote-field-not-allowed")
        for key in remote.ignored_keys
    ]
    tool, problems = check_tool(remote.document(), remote.inherited(), path, entry.template)
    if tool is None:
        return None, [*ignored, *map(_add_consequence, problems)]
    return replace(tool, remote_fields=remote.remote_fields, discovered=True, digest=outline.digest), ignored


def _named_like_credential(tool: RemoteTool) -> Iterator[Problem]:
    """A name goes into logs, metrics, pins and the names that hosts show, and must stay what it is in all of them."""
    name = tool.raw.get("name")
    if isinstance(name, str) and tool.redact(name) != name:
        yield Problem("name", "the name contains a credential.", code="remote-tool-invalid")


def _other_types(tool: RemoteTool) -> Iterator[Problem]:
    kind = tool.template.get("call_template_type", WEBSOCKET)
    if kind != WEBSOCKET:
        message = f"the call_template_type {tool.shown(str(kind))!r} is not supported."
        yield Problem("tool_call_template", message, code="remote-tool-invalid")


def _foreign_credentials(tool: RemoteTool) -> Iterator[Problem]:
    if "auth" not in tool.template:
        return
    auth = tool.template["auth"]
    token_url = auth.get("token_url") if isinstance(auth, dict) else None
    if tool.is_cross_origin:
        message = "the credentials are for another origin than that of the manual."
        yield Problem("tool_call_template.auth", message, code="remote-credentials-not-allowed")
    elif token_url is not None and not _same_origin(_as_websocket(str(token_url)), tool.manual_url):
        message = "the token endpoint has another origin than the manual."
        yield Problem("tool_call_template.auth.token_url", message, code="remote-credentials-not-allowed")


def _unset_variables(tool: RemoteTool) -> Iterator[Problem]:
    auth = tool.template.get("auth")
    texts = [text for text in auth.values() if isinstance(text, str)] if isinstance(auth, dict) else []
    for name in (name for text in texts for name in _variable_names(text)):
        if name not in tool.entry.own_variables:
            fix = f"Set {namespaced_variable(tool.entry.name, name)} to offer the tool."
            message = f"the variable {name!r} is not set for this manual. {fix}"
            yield Problem("tool_call_template.auth", message, code="remote-variable-not-set")


def _unsafe_schemas(tool: RemoteTool) -> Iterator[Problem]:
    for key in ("inputs", "outputs"):
        if tool.raw.get(key) is not None and (problem := schema_problem(tool.raw[key])):
            yield replace(problem, path=key)
            return


_RULES: Final[tuple[Callable[[RemoteTool], Iterator[Problem]], ...]] = (
    _named_like_credential,
    _other_types,
    _foreign_credentials,
    _unset_variables,
    _unsafe_schemas,
)
"""The checks that reject a tool, in order; the paths of their problems start at the tool."""


def _variable_names(text: str) -> list[str]:
    if whole := WHOLE_STRING_VARIABLE.match(text):
        return [whole[1]]
    return [name for name in VARIABLE.findall(text) if name]


def _as_websocket(url: str) -> str:
    return re.sub(r"^http(s?)://", r"ws\1://", url)


def _same_origin(one: str, other: str) -> bool:
    return _origin(one) == _origin(other)


def _origin(url: str) -> str:
    found = re.match(r"(wss?)://([^/?#]*)", url.lower())
    if found is None:
        return url
    return f"{found[1]}://{found[2].removesuffix(':443' if found[1] == 'wss' else ':80')}"
