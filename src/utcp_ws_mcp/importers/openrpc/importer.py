"""Import OpenRPC: methods become tools, subscriptions and notifications become feeds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from ...core.feeds.tool_texts import RESERVED_ARGUMENTS
from ...errors import ImportFailed
from ...records import MutableRecord, field
from ..failures import Inexpressible
from ..model import Description, Document, Format, ImportOptions, Operation, Skipped, Status
from ..naming import hints, is_reading, summarize, tool_name
from ..references import References
from ..schemas import Schemas
from ..urls import Server, choose_server, endpoint_fields, fill_variables
from . import subscriptions
from .params import Parameters, guess_positions, read_parameters, reads_positions

_PRESET: Final = "jsonrpc2"
_INTERNAL: Final = frozenset({"rpc-only", "internal"})
"""Tags of methods that are not for callers."""


def import_openrpc(
    document: Mapping[str, Any], references: References, options: ImportOptions, source: str
) -> Description:
    """Return the operations of an OpenRPC document.

    Raises:
        ImportFailed: if it has no methods, or no endpoint.
    """
    if not isinstance(document.get("methods"), list):
        raise ImportFailed(f'{source} is no OpenRPC document: it has no array "methods". Correct the document.')
    return _Importer(document, references, options, source).run()


class _Importer(MutableRecord, dict=True):
    document: Mapping[str, Any]
    references: References
    options: ImportOptions
    source: str
    names: set[str] = field(default_factory=set)
    roles: dict[str, subscriptions.Role] = field(default_factory=dict)
    methods: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    by_position: bool = False
    assumed: list[str] = field(default_factory=list)

    @cached_property
    def schemas(self) -> Schemas:
        """Return the schemas that the document defines."""
        return Schemas(self.references)

    def run(self) -> Description:
        server = choose_server(list(self._servers()), self.options.url, self.source)
        self._read_methods()
        self.by_position, reason = guess_positions(list(self.methods.values()), self.schemas)
        extensions = {each["subscribe"]: each for each in subscriptions.extension_subscriptions(self.document)}
        self.roles = subscriptions.find_roles(list(self.methods.values()), extensions)
        operations = [*self._of_methods(), *self._of_extensions(extensions), *self._of_notifications()]
        if self.document.get("x-preset") == "mopidy":
            operations.append(subscriptions.mopidy_events())
        fields = {
            **endpoint_fields(server.url),
            "preset": self.options.preset or self.document.get("x-preset") or _PRESET,
        }
        return Description(
            title=self._title(),
            format=Format.OPENRPC,
            version=str(self.document.get("openrpc", "")),
            endpoints={"": fields},
            operations=operations,
            skipped=self.skipped,
            notes=[f"Endpoint: {server.url}.", *self._parameter_note(reason), *self._assumptions()],
        )

    def _title(self) -> str:
        info = self.document.get("info")
        return str((info.get("title") if isinstance(info, Mapping) else None) or "api")

    def _servers(self) -> Iterator[Server]:
        of_methods = [each.get("servers") for each in self.document["methods"] if isinstance(each, Mapping)]
        for listed in (self.document.get("servers"), *of_methods):
            for each in listed if isinstance(listed, list) else [listed]:
                if isinstance(each, Mapping) and isinstance(each.get("url"), str) and "://" in each["url"]:
                    url = each["url"].replace("${", "{")
                    yield Server(fill_variables(url, each.get("variables"), self._title(), self.references.resolve))

    def _parameter_note(self, reason: str) -> Iterator[str]:
        said = sum(each.get("paramStructure") in ("by-name", "by-position") for each in self.methods.values())
        if said == len(self.methods):
            return
        how = self.options.params or ("position" if self.by_position else "name")
        why = "as --params says" if self.options.params else f"because {reason}; --params changes it"
        yield f"Parameters are sent by {how} where the document does not say it, {why}."

    def _assumptions(self) -> Iterator[str]:
        if self.assumed:
            names = ", ".join(dict.fromkeys(self.assumed))
            yield f"Subscriptions are ended by methods that the document does not have: {names}. Check close."

    def _read_methods(self) -> None:
        for index, listed in enumerate(self.document["methods"]):
            try:
                method = self.references.resolve(listed)
                if not isinstance(method, Mapping) or not isinstance(method.get("name"), str) or not method["name"]:
                    raise Inexpressible("it has no name")
                if method["name"] in self.methods:
                    self.skipped.append(Skipped(f"{method['name']} (again)", "the document has it twice"))
                    continue
                params = method.get("params")
                resolved = [self.references.resolve(each) for each in params] if isinstance(params, list) else []
            except Inexpressible as reason:
                self.skipped.append(Skipped(_label(listed, index), str(reason)))
                continue
            self.methods[method["name"]] = {**method, "params": resolved}

    def _of_methods(self) -> Iterator[Operation]:
        feeds = [name for name, role in self.roles.items() if role.kind == "subscribe"]
        for name, method in self.methods.items():
            role = self.roles.get(name)
            tags = self._tags(method)
            if _INTERNAL & {*tags}:
                self.skipped.append(Skipped(name, "its tag says that it is not for callers"))
            elif role is not None and role.kind == "unsubscribe":
                self.skipped.append(Skipped(name, "feeds end their subscriptions by themselves"))
            elif role is not None and role.kind == "notification" and subscriptions.is_notified_by(name, feeds):
                self.skipped.append(Skipped(name, "it is what the feeds of the subscriptions return"))
            else:
                try:
                    yield self._operation(name, method, role, tags)
                except Inexpressible as reason:
                    self.skipped.append(Skipped(name, str(reason)))

    def _operation(
        self, name: str, method: Mapping[str, Any], role: subscriptions.Role | None, tags: Sequence[str]
    ) -> Operation:
        status = _status(method, tags)
        if role is None:
            tool, reads = self._tool(name, method, tags)
            return Operation(name, tool=tool, tags=tags, read_only=reads, status=status)
        if role.kind == "notification":
            event = subscriptions.notification(name)
            return Operation(name, event=event, tags=tags, read_only=True, status=status)
        parameters = self._parameters(method, reserved=RESERVED_ARGUMENTS)
        own = self._own_name(name)
        if role.kind == "listen":
            by_name = Parameters(parameters.inputs, parameters.names, parameters.required, by_position=False)
            feed = subscriptions.listen_feed(own, method, by_name)
        else:
            feed = subscriptions.subscription_feed(
                own, method, parameters, self._token(method), self._ending(role.partner)
            )
        return Operation(name, feed=feed, tags=tags, read_only=True, status=status)

    def _token(self, method: Mapping[str, Any]) -> str:
        result = self.references.resolve(method.get("result"))
        return subscriptions.token_expression(
            self.references.resolve(result.get("schema")) if isinstance(result, Mapping) else None
        )

    def _ending(self, partner: str) -> tuple[str, bool, str]:
        """Return the method that ends a subscription, how it reads its parameter, and the name of that one."""
        if partner not in self.methods:
            self.assumed.append(partner)
        method = self.methods.get(partner, {})
        parameters = [each for each in method.get("params", ()) if isinstance(each, Mapping)]
        name = str(parameters[0].get("name", "subscription")) if parameters else "subscription"
        return partner, reads_positions(method, self.options.params, self.by_position), name

    def _parameters(self, method: Mapping[str, Any], reserved: Collection[str] = ()) -> Parameters:
        by_position = reads_positions(method, self.options.params, self.by_position)
        return read_parameters(method["params"], self.schemas, by_position, reserved)

    def _own_name(self, name: str) -> str:
        own = tool_name(name, self.names)
        self.names.add(own)
        return own

    def _tool(self, name: str, method: Mapping[str, Any], tags: Sequence[str]) -> tuple[Document, bool]:
        parameters = self._parameters(method)
        reads = _reads(name, method, tags)
        own = self._own_name(name)
        tool: Document = {
            "name": own,
            "description": summarize(
                method.get("summary"), method.get("description"), name=name, returns=self._returns(method)
            ),
            "inputs": parameters.inputs,
            "annotations": hints(name, reads),
        }
        tool |= {"tags": list(tags)} if tags else {}
        is_notification = "result" not in method
        if not is_notification and parameters.are_plain and own == name:
            return tool, reads
        message = subscriptions.request(name, "{{ args }}" if parameters.are_plain else parameters.template())
        if is_notification:
            del message["id"]
        tool["tool_call_template"] = {"message": message, **({"reply": "none"} if is_notification else {})}
        return tool, reads

    def _returns(self, method: Mapping[str, Any]) -> str:
        """Return a sentence about the result of a method; empty if the document says nothing of it."""
        try:
            result = self.references.resolve(method.get("result"))
            schema = self.references.resolve(result.get("schema")) if isinstance(result, Mapping) else None
        except Inexpressible:
            return ""
        if not isinstance(result, Mapping):
            return ""
        schema = schema if isinstance(schema, Mapping) else {}
        said = result.get("description") or result.get("summary") or schema.get("description") or schema.get("title")
        said = said or result.get("name")
        if not isinstance(said, str) or said.lower() in ("result", "null", "none", ""):
            return ""
        return f"Returns: {summarize(said, name=said)}"

    def _tags(self, method: Mapping[str, Any]) -> list[str]:
        tags = []
        listed = method.get("tags")
        for each in listed if isinstance(listed, list) else ():
            try:
                resolved = self.references.resolve(each)
            except Inexpressible:
                continue
            name = resolved.get("name") if isinstance(resolved, Mapping) else resolved
            if isinstance(name, str) and "$" not in name:
                tags.append(name)
        return tags

    def _of_extensions(self, extensions: Mapping[str, Mapping[str, Any]]) -> Iterator[Operation]:
        for begins, each in extensions.items():
            if begins in self.methods:
                continue
            name = str(each.get("name") or begins)
            try:
                schema = self.schemas.complete(each.get("params"))
                required = schema.get("required", ())
                listed = [
                    {"name": key, "schema": value, "required": key in required}
                    for key, value in schema.get("properties", {}).items()
                ]
                method = {"name": begins, "params": listed, "summary": each.get("summary"), "paramStructure": "by-name"}
                parameters = self._parameters(method, reserved=RESERVED_ARGUMENTS)
                end = each.get("unsubscribe")
                partner = (end if isinstance(end, str) else f"{name}.unsubscribe", False, "subscriptionId")
                own = self._own_name(name)
                feed = subscriptions.subscription_feed(own, method, parameters, "reply.result.subscriptionId", partner)
            except Inexpressible as reason:
                self.skipped.append(Skipped(name, str(reason)))
                continue
            yield Operation(name, feed=feed, read_only=True)

    def _of_notifications(self) -> Iterator[Operation]:
        for each in subscriptions.extension_notifications(self.document):
            yield Operation(each["name"], event=subscriptions.notification(each["name"]), read_only=True)


def _label(listed: Any, index: int) -> str:
    name = listed.get("name", listed.get("$ref")) if isinstance(listed, Mapping) else None
    return str(name or f"methods[{index}]")


def _status(method: Mapping[str, Any], tags: Sequence[str]) -> Status:
    lowered = {tag.lower() for tag in tags}
    if method.get("deprecated") is True or "deprecated" in lowered:
        return Status.DEPRECATED
    return Status.EXPERIMENTAL if "experimental" in lowered else Status.STABLE


def _reads(name: str, method: Mapping[str, Any], tags: Sequence[str]) -> bool:
    """Return whether a method changes nothing: as an extension or a tag says, else by its name and description."""
    said = method.get("x-read-only", method.get("x-readonly"))
    if isinstance(said, bool):
        return said
    is_property = any(tag.partition(":")[0] == "property" for tag in tags)  # Firebolt's word for what can be read
    return is_property or is_reading(name, method.get("summary"), method.get("description"))
