"""Load the call templates of a client as entries of a manifest, with the variables of the client."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from utcp.data.call_template import CallTemplate
from utcp.data.utcp_client_config import UtcpClientConfig
from utcp.exceptions import UtcpVariableNotFound
from utcp.implementations.default_variable_substitutor import DefaultVariableSubstitutor
from utcp.utcp_client import UtcpClient

from ...client.manifest_files import LoadedManifest, load_call_template
from ...core.tools.catalog import compile_tools
from ...errors import PolicyError
from ...manifest.inheritance import referenced_presets
from ...manifest.models.base import Json
from ...manifest.remote_manual import FORBIDDEN_KEYS, read_manual
from ...manifest.variables import VariableResolver, find_optional, find_variables, namespaced_variable
from ...records import replace
from .template import DOLLAR, WebSocketCallTemplateSerializer, escape_dollars, to_manifest

_FORBIDDEN_TOOL_KEYS: Final = FORBIDDEN_KEYS - {"name", "pin"}
"""Fields that the call template of a tool may not set if its manual is of another type."""

_MANUAL_KEYS: Final = ("name", "call_template_type", "allowed_communication_protocols", "auth")
"""Fields of a tool's call template that belong to its manual."""


class ClientVariables(Mapping[str, str]):
    """The variables of one manual in UTCP's namespace, by their names without it.

    They can be looked up, but not listed: the substitutor of the client has no such function.
    """

    def __init__(self, config: UtcpClientConfig, manual: str) -> None:
        self._config = config
        self.manual = manual

    def __getitem__(self, name: str) -> str:
        try:
            return str(DefaultVariableSubstitutor().substitute(f"${{{name}}}", self._config, self.manual))
        except UtcpVariableNotFound:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def load_manual(caller: UtcpClient, template: CallTemplate) -> LoadedManifest:
    """Load the call template of a manual that a client registers.

    Raises:
        InvalidManifest: With every problem of the call template.
        UtcpVariableNotFound: For a missing variable of its expressions or its preset.
    """
    return _load(caller, template.name, template.name, to_manifest(template))


def load_standalone_tool(caller: UtcpClient, tool_name: str, tool: str, template: CallTemplate) -> LoadedManifest:
    """Load a tool whose manual is of another type. It is trusted as little as a manual from the network.

    Its credentials are those of the client, which has already replaced their variables.

    Args:
        caller: The client.
        tool_name: The full name, `manual.tool`.
        tool: The name of the tool in its manual.
        template: The call template of the tool.

    Raises:
        PolicyError: If it sets a field that a manual from the network may not set.
        InvalidManifest: If its URL or its credentials are invalid.
    """
    own = WebSocketCallTemplateSerializer().to_dict(template)
    if refused := sorted(own.keys() & _FORBIDDEN_TOOL_KEYS):
        reason = f"the manual of the tool is of another type, so that the tool may not set {refused[0]!r}"
        message = f"{tool_name}: {reason}. Register its call template as a manual."
        raise PolicyError(message, code="remote-field-not-allowed")
    origin = re.match(r"\w+://[^/?#]*", own["url"])
    document = {"name": tool_name, "url": origin[0] if origin else own["url"], "auth": escape_dollars(own.get("auth"))}
    loaded = _load(caller, tool_name, tool_name.partition(".")[0], {**document, "tools": []})
    [entry] = loaded.manifest.entries
    remote = {key: value for key, value in own.items() if key not in _MANUAL_KEYS}
    tools, warnings = read_manual({"tools": [{"name": tool, "tool_call_template": remote}]}, entry)
    compiled, problems = compile_tools(entry, tools)
    if not compiled:
        reasons = " ".join([*warnings, *map(str, problems)])
        raise PolicyError(f"{tool_name}: the tool cannot be used: {reasons}", code="remote-tool-invalid")
    return replace(loaded, tools={entry.name: compiled})


def _load(caller: UtcpClient, name: str, manual: str, document: Mapping[str, Json]) -> LoadedManifest:
    variables = ClientVariables(caller.config, manual)
    loaded = load_call_template(
        document, _make_resolver(document, variables), f"the call template {name}", Path(caller.root_dir)
    )
    entries = tuple(replace(entry, own_variables=variables) for entry in loaded.manifest.entries)
    return replace(loaded, manifest=replace(loaded.manifest, entries=entries))


def _make_resolver(document: Json, variables: ClientVariables) -> VariableResolver:
    """Return a resolver for the variables in the expressions (`vars.NAME`) of a document and in its presets.

    Raises:
        UtcpVariableNotFound: For a variable that is required and not set.
    """
    documents = [document, *referenced_presets(document)]
    names = set(find_variables(documents)) - {DOLLAR}
    values = {name: value for name in names if (value := variables.get(name)) is not None}
    for name in sorted(names - values.keys() - find_optional(documents)):
        raise UtcpVariableNotFound(namespaced_variable(variables.manual, name))
    return VariableResolver([values | {DOLLAR: "$"}])
