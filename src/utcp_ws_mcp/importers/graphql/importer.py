"""Import GraphQL: queries and mutations become tools, subscriptions become feeds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

from ...core.feeds.tool_texts import RESERVED_ARGUMENTS
from ...errors import ImportFailed
from ...recorder.templates import REQUEST_ID, escape_template
from ...records import MutableRecord, Record, field
from ..assembly import MAX_ITEMS, MAX_SECONDS
from ..failures import Inexpressible
from ..model import Description, Document, Format, ImportOptions, Operation, Skipped, Status
from ..naming import argument_name, hints, summarize, tool_name
from ..references import References
from ..schemas import Schemas
from ..urls import choose_server, endpoint_fields

PRESET: Final = "graphql-transport-ws"


def import_graphql(document: Any, options: ImportOptions, source: str) -> Description:
    """Return the operations of a GraphQL schema.

    Raises:
        ImportFailed: if the library is missing, it is no schema, or no endpoint was given.
    """
    try:
        from .schema import read_schema
    except ImportError:
        message = f"{source} cannot be read: GraphQL needs a package. Run pip install 'utcp-ws-mcp[import]'."
        raise ImportFailed(message, code="extra-not-installed") from None
    schema = read_schema(document, source)
    server = choose_server([], options.url, source)
    importer = _Importer(schema, options)
    operations = list(importer.operations())
    return Description(
        title=_host(server.url),
        format=Format.GRAPHQL,
        endpoints={"": {**endpoint_fields(server.url), "preset": options.preset or PRESET}},
        operations=operations,
        skipped=importer.skipped,
        notes=[
            f"Endpoint: {server.url}.",
            f"Results have {options.depth} level{'s' * (options.depth != 1)} of fields; --depth selects more.",
        ],
    )


def _host(url: str) -> str:
    labels = url.partition("://")[2].partition("/")[0].partition(":")[0].split(".")
    own = [label for label in labels[:-1] if label not in ("api", "www", "graphql", "gateway")]
    return own[-1] if own and not labels[-1].isdigit() else "graphql"


class _Importer(MutableRecord, dict=True):
    schema: Any
    options: ImportOptions
    skipped: list[Skipped] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    @cached_property
    def schemas(self) -> Schemas:
        """Return the schemas of the types that arguments have."""
        from .arguments import type_schemas

        return Schemas(References({"types": type_schemas(self.schema)}))

    def operations(self) -> Iterator[Operation]:
        """Yield the operations: queries, mutations, subscriptions."""
        for kind in ("query", "mutation", "subscription"):
            root = getattr(self.schema, f"{kind}_type")
            for name, each in (root.fields if root is not None else {}).items():
                try:
                    yield self._operation(kind, name, each)
                except Inexpressible as reason:
                    self.skipped.append(Skipped(name, str(reason)))

    def _operation(self, kind: str, name: str, each: Any) -> Operation:
        own = tool_name(name, self.names)
        self.names.add(own)
        status = Status.DEPRECATED if each.deprecation_reason is not None else Status.STABLE
        request = self._request(kind, name, each)
        source = name if own == name else f"{kind} {name}"
        is_feed = kind == "subscription" and self.options.events != "streams"
        return Operation(
            source,
            tool=None if is_feed else self._tool(own, name, kind, each, request),
            feed=self._feed(own, name, each, request) if is_feed else None,
            tags=[kind],
            read_only=kind != "mutation",
            status=status,
            only_if_asked=kind == "mutation",
        )

    def _request(self, kind: str, name: str, each: Any) -> _Request:
        from .arguments import declaration, inputs_of
        from .selections import selection

        inputs = self.schemas.complete(inputs_of(each.args))
        arguments: dict[str, str] = {}
        reserved = RESERVED_ARGUMENTS if kind == "subscription" else frozenset()
        for argument in inputs["properties"]:
            arguments[argument] = argument_name(argument, {*arguments.values(), *reserved})
        declared = ", ".join(f"${key}: {declaration(each.args[key])}" for key in arguments)
        passed = ", ".join(f"{key}: ${key}" for key in arguments)
        head = f"{kind} ({declared})" if declared else kind
        call = f"{name}({passed})" if passed else name
        query = f"{head} {{ {call} {selection(self.schema, each.type, self.options.depth)} }}".replace("  ", " ")
        payload: Document = {"query": escape_template(query, ())}
        if arguments:
            payload["variables"] = {key: f"{{{{ args.{argument} }}}}" for key, argument in arguments.items()}
        properties = {arguments[key]: value for key, value in inputs["properties"].items()}
        renamed = {**inputs, "properties": properties}
        if "required" in inputs:
            renamed["required"] = [arguments[key] for key in inputs["required"]]
        return _Request({"id": REQUEST_ID, "type": "subscribe", "payload": payload}, renamed)

    def _tool(self, own: str, name: str, kind: str, each: Any, request: _Request) -> Document:
        result = f"message.payload if message.payload.errors is defined else message.payload.data.{name}"
        template: Document = {"message": request.message, "reply": {"result": result}}
        if kind == "subscription":
            template |= {"stream": {"max_items": MAX_ITEMS, "max_seconds": MAX_SECONDS}}
        return {
            "name": own,
            "description": _describe(name, each),
            "inputs": request.inputs,
            "annotations": hints(name, kind != "mutation"),
            "tags": [kind],
            "tool_call_template": template,
        }

    def _feed(self, own: str, name: str, each: Any, request: _Request) -> Document:
        return {
            "name": own,
            "description": _describe(name, each),
            **({"inputs": request.inputs} if request.inputs["properties"] else {}),
            "open": [{"send": request.message}],
            "match": "message.id == request_id and message.type == 'next'",
            "item": f"message.payload.data.{name} | default(message.payload)",
            "close": {"id": REQUEST_ID, "type": "complete"},
        }


class _Request(Record):
    """The message of an operation, and the schema of its arguments."""

    message: Document
    inputs: Document


def _describe(name: str, each: Any) -> str:
    return summarize(each.description, name=name, returns=f"Returns {each.type}.")
