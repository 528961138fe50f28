"""Import the Chrome DevTools Protocol: commands become tools, the events of each domain a feed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from ..errors import ImportFailed
from ..records import MutableRecord, field
from .failures import Inexpressible
from .model import Description, Document, Event, Format, ImportOptions, Operation, Skipped, Status
from .naming import hints, is_reading, summarize, tool_name
from .references import References
from .schemas import Schemas
from .shapes import objects
from .urls import endpoint_fields

DEFAULT_ENDPOINT: Final = "ws://127.0.0.1:9222/devtools/browser/{{ session.browser }}"
"""The endpoint of a browser that was started with --remote-debugging-port=9222."""

_BROWSER: Final[Document] = {
    "before_connect": [
        {
            "http": {"url": "http://127.0.0.1:9222/json/version"},
            "capture": {"browser": "body.webSocketDebuggerUrl.split('/') | last"},
        }
    ]
}
_ENABLED: Final = frozenset({"Page", "Inspector"})
"""Domains whose events the preset asks for, and needs itself."""

_OF_BROWSER: Final = frozenset({"Browser", "Target", "SystemInfo", "Tethering"})
"""Domains whose commands are for the browser, not for a page."""

_NAME: Final = re.compile(r"[A-Za-z]\w*\Z", re.ASCII)
"""The name of a domain, which feeds and messages repeat."""


def import_cdp(document: Mapping[str, Any], options: ImportOptions, source: str) -> Description:
    """Return the commands and events of a protocol.

    Raises:
        ImportFailed: if it has no domains.
    """
    domains = [each for each in objects(document.get("domains")) if _is_name(each.get("domain"))]
    if not domains:
        raise ImportFailed(f'{source} has no "domains", so it is no protocol of a browser. Give its /json/protocol.')
    version = document.get("version")
    importer = _Importer(domains, options)
    operations = [each for domain in domains for each in importer.of_domain(domain)]
    url = options.url or DEFAULT_ENDPOINT
    fields: Document = {**endpoint_fields(url), "preset": options.preset or "cdp"}
    if options.url is None:
        fields |= _BROWSER
    if importer.is_single_target:
        fields |= {"on_connect": [], "message": importer.message("{{ tool }}", on_page=False)}
    shown = url.partition("{{")[0] + ("…" if "{{" in url else "")
    usual = " (the usual port; --url changes it)" if options.url is None else ""
    return Description(
        title="browser" if any(each["domain"] == "Page" for each in domains) else "inspector",
        format=Format.CDP,
        version=f"{version.get('major')}.{version.get('minor')}" if isinstance(version, Mapping) else "",
        endpoints={"": fields},
        operations=operations,
        skipped=importer.skipped,
        notes=[
            f"Endpoint: {shown}{usual}.",
            "A user of these tools acts as the person that is signed in in the browser.",
        ],
    )


class _Importer(MutableRecord, dict=True):
    domains: Sequence[Mapping[str, Any]]
    options: ImportOptions
    names: set[str] = field(default_factory=set)
    skipped: list[Skipped] = field(default_factory=list)

    @cached_property
    def types(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        """Return the domain and the definition of each type, by its full name."""
        return {
            f"{domain['domain']}.{each.get('id')}": (domain["domain"], each)
            for domain in self.domains
            for each in objects(domain.get("types"))
        }

    @cached_property
    def schemas(self) -> Schemas:
        """Return the schemas of all types."""
        types = {name: self._schema(each, domain) for name, (domain, each) in self.types.items()}
        return Schemas(References({"types": types}))

    @property
    def is_single_target(self) -> bool:
        """Return whether the endpoint is one page, or a program like Node: it needs no session of a page."""
        url = self.options.url
        return url is not None and "/devtools/browser/" not in url

    def message(self, method: str, on_page: bool) -> Document:
        """Return the message of a command."""
        message: Document = {"id": "{{ request_id }}", "method": method, "params": "{{ args }}"}
        return {**message, "sessionId": "{{ session.session_id }}"} if on_page else message

    def of_domain(self, domain: Mapping[str, Any]) -> Iterator[Operation]:
        """Yield the commands and events of a domain."""
        for command in objects(domain.get("commands")):
            try:
                yield self._command(domain, command)
            except Inexpressible as reason:
                self.skipped.append(Skipped(f"{domain['domain']}.{command.get('name')}", str(reason)))
        for event in objects(domain.get("events")):
            yield self._event(domain, event)

    def _command(self, domain: Mapping[str, Any], command: Mapping[str, Any]) -> Operation:
        name = f"{domain['domain']}.{command.get('name')}"
        reads = is_reading(str(command.get("name")))
        tool: Document = {
            "name": tool_name(name, self.names),
            "description": summarize(command.get("description"), name=name, returns=_returns(command)),
            "inputs": self._inputs(domain["domain"], objects(command.get("parameters"))),
            "annotations": hints(str(command.get("name")), reads),
            "tags": [domain["domain"]],
        }
        self.names.add(tool["name"])
        if domain["domain"] in _OF_BROWSER and not self.is_single_target:
            tool["tool_call_template"] = {"message": self.message("{{ tool }}", on_page=False)}
        status = _status(domain, command)
        return Operation(name, tool=tool, tags=[domain["domain"]], read_only=reads, status=status)

    def _inputs(self, domain: str, parameters: Sequence[Mapping[str, Any]]) -> Document:
        properties = {str(each.get("name")): self._schema(each, domain) for each in parameters}
        required = [str(each.get("name")) for each in parameters if each.get("optional") is not True]
        schema: Document = {"type": "object", "properties": properties}
        return self.schemas.complete(
            {**schema, **({"required": required} if required else {}), "additionalProperties": False}
        )

    def _schema(self, each: Mapping[str, Any], domain: str) -> Document:
        """Return the JSON Schema of a type or parameter; its references are names."""
        schema: Document = {}
        if isinstance(each.get("$ref"), str):
            name = each["$ref"] if "." in each["$ref"] else f"{domain}.{each['$ref']}"
            schema = {"$ref": f"#/types/{name}"} if name in self.types else {"description": name}
        elif each.get("type") not in (None, "any", "binary"):
            schema = {"type": each["type"]}
        elif each.get("type") == "binary":
            schema = {"type": "string", "contentEncoding": "base64"}
        if isinstance(each.get("enum"), list):
            schema["enum"] = each["enum"]
        if isinstance(each.get("items"), Mapping):
            schema["items"] = self._schema(each["items"], domain)
        if isinstance(each.get("properties"), list):
            listed = objects(each["properties"])
            schema["properties"] = {str(one.get("name")): self._schema(one, domain) for one in listed}
            required = [str(one.get("name")) for one in listed if one.get("optional") is not True]
            schema |= {"required": required} if required else {}
        text = each.get("description")
        return {**schema, "description": " ".join(text.split())} if isinstance(text, str) and text.strip() else schema

    def _event(self, domain: Mapping[str, Any], event: Mapping[str, Any]) -> Operation:
        name = f"{domain['domain']}.{event.get('name')}"
        fields: Document = {
            "description": f"Events of the domain {domain['domain']}.",
            "item": "message | only('method', 'params')",
        }
        enable = next((each for each in objects(domain.get("commands")) if each.get("name") == "enable"), None)
        is_enabled = domain["domain"] in _ENABLED and not self.is_single_target
        if (
            enable is not None
            and not is_enabled
            and all(one.get("optional") for one in objects(enable.get("parameters")))
        ):
            on_page = domain["domain"] not in _OF_BROWSER and not self.is_single_target
            send = {**self.message(f"{domain['domain']}.enable", on_page), "params": {}}
            disable = {**send, "id": "{{ next_id() }}", "method": f"{domain['domain']}.disable"}
            fields |= {"open": [{"send": send}, {"expect": "message.id == request_id"}], "close": disable}
        return Operation(
            name,
            event=Event(str(domain["domain"]), "message.method", name, fields),
            tags=[domain["domain"]],
            read_only=True,
            status=_status(domain, event),
        )


def _status(*levels: Mapping[str, Any]) -> Status:
    if any(each.get("deprecated") is True for each in levels):
        return Status.DEPRECATED
    return Status.EXPERIMENTAL if any(each.get("experimental") is True for each in levels) else Status.STABLE


def _returns(command: Mapping[str, Any]) -> str:
    names = [str(each.get("name")) for each in objects(command.get("returns"))]
    return f"Returns: {', '.join(names)}." if names else ""


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.match(value) is not None
