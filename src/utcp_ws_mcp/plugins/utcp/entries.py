"""Call templates of a client, loaded as entries of a manifest are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from utcp.data.call_template import CallTemplate
from utcp.utcp_client import UtcpClient

from ...client.manifest_files import LoadedManifest, load_call_template
from ...core.tools.catalog import compile_tools
from ...errors import PolicyError
from ...manifest.models.base import Json
from ...manifest.remote_manual import FORBIDDEN_KEYS, read_manual
from .template import WebSocketCallTemplateSerializer, escape_dollars, to_manifest
from .variables import ClientVariables, make_resolver

_FORBIDDEN_TOOL_KEYS: Final = FORBIDDEN_KEYS - {"name", "pin"}
"""What a tool's call template may not say where its manual came from elsewhere."""

_MANUAL_KEYS: Final = ("name", "call_template_type", "allowed_communication_protocols", "auth")
"""What a tool's call template says that is none of the tool's own."""


def load_manual(caller: UtcpClient, template: CallTemplate) -> LoadedManifest:
    """The call template of a manual that a client registers.

    Raises:
        InvalidManifest: with everything that is wrong with it.
        UtcpVariableNotFound: for a variable that its expressions or its preset need.
    """
    return _load(caller, template.name, template.name, to_manifest(template))


def load_standalone_tool(caller: UtcpClient, tool_name: str, tool: str, template: CallTemplate) -> LoadedManifest:
    """A tool whose manual is of another kind. It may say what a manual from the network may say; that may be one.

    Its credentials are the client's own, who has put them in.

    Raises:
        PolicyError: where it says more.
        InvalidManifest: where its URL or its credentials are wrong.
    """
    own = WebSocketCallTemplateSerializer().to_dict(template)
    if refused := sorted(own.keys() & _FORBIDDEN_TOOL_KEYS):
        why = f"may not say {refused[0]!r}: its manual is of another kind; register its call template as a manual"
        raise PolicyError(f"{tool_name} {why}")
    origin = re.match(r"\w+://[^/?#]*", own["url"])
    document = {"name": tool_name, "url": origin[0] if origin else own["url"], "auth": escape_dollars(own.get("auth"))}
    loaded = _load(caller, tool_name, tool_name.partition(".")[0], {**document, "tools": []})
    [entry] = loaded.manifest.entries
    told = {key: value for key, value in own.items() if key not in _MANUAL_KEYS}
    tools, notices = read_manual({"tools": [{"name": tool, "tool_call_template": told}]}, entry)
    plans, problems = compile_tools(entry, tools)
    if not plans:
        raise PolicyError(f"{tool_name}: " + "; ".join([*notices, *map(str, problems)]))
    return replace(loaded, tools={entry.name: plans})


def _load(caller: UtcpClient, name: str, manual: str, document: Mapping[str, Json]) -> LoadedManifest:
    variables = ClientVariables(caller.config, manual)
    loaded = load_call_template(
        document, make_resolver(document, variables), f"the call template {name}", Path(caller.root_dir)
    )
    entries = tuple(replace(entry, own_variables=variables) for entry in loaded.manifest.entries)
    return replace(loaded, manifest=replace(loaded.manifest, entries=entries))
