"""Import a folder of JSON Schemas: pairs of a request and its response, as Deriv publishes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import ImportFailed
from .asyncapi.correlation import find_correlation
from .asyncapi.payloads import Payload, forms
from .asyncapi.replies import reply_rules
from .asyncapi.requests import build_request
from .failures import Inexpressible
from .model import Description, Document, Format, ImportOptions, Operation, Skipped
from .naming import hints, is_reading, summarize, tool_name
from .references import References
from .schemas import Schemas
from .shapes import texts
from .urls import choose_server, endpoint_fields

_REQUEST: Final = ("request", "req", "send", "input", "command")
_RESPONSE: Final = ("response", "resp", "res", "receive", "reply", "output", "result")


def import_json_schemas(
    files: Mapping[str, Any], references: References, options: ImportOptions, source: str
) -> Description:
    """Return a tool for each pair of schemas of a folder.

    Args:
        files: The schemas by their path in the folder.
        references: Resolves references between them.
        options: The options of `import`.
        source: What the folder is called in messages.

    Raises:
        ImportFailed: if there is no pair, or no endpoint was given.
    """
    pairs, single = find_pairs(files)
    if not pairs:
        message = (
            f"{source} has no pairs of JSON Schemas: no two files are called like NAME_request.json and "
            "NAME_response.json, or NAME/send.json and NAME/receive.json. Give a file with a description."
        )
        raise ImportFailed(message)
    server = choose_server([], options.url, source)
    schemas = Schemas(references)
    skipped = [Skipped(name, "its file has no partner") for name in single]
    operations: list[Operation] = []
    numbers = False
    for name, (request, response) in pairs.items():
        try:
            operation, is_number = _operation(name, request, response, schemas, {each.name for each in operations})
        except Inexpressible as reason:
            skipped.append(Skipped(name, str(reason)))
            continue
        operations.append(operation)
        numbers = numbers or is_number
    fields = {**endpoint_fields(server.url), "response_format": "json"}
    fields |= {"request_id": "counter"} if numbers else {}
    fields |= {"preset": options.preset} if options.preset else {}
    return Description(
        title=source,
        format=Format.JSON_SCHEMA,
        endpoints={"": fields},
        operations=operations,
        skipped=skipped,
        notes=[f"Endpoint: {server.url}."],
    )


def find_pairs(files: Mapping[str, Any]) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return the files of the request and of the response by the name of the operation, and files without partner."""
    requests, responses = dict(_named(files, _REQUEST)), dict(_named(files, _RESPONSE))
    pairs = {name: (file, responses[name]) for name, file in requests.items() if name in responses}
    single = [file for name, file in requests.items() if name not in responses]
    return pairs, single


def _named(files: Mapping[str, Any], words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the files whose path says that they are requests, or responses, by what is left of the path."""
    begin = r"(?:^|(?<=[/_.\-])|(?<=[a-z0-9])(?=[A-Z]))"
    pattern = re.compile(rf"{begin}(?i:{'|'.join(words)})s?(?=[/_.\-]|\Z)")
    for file, schema in files.items():
        plain = re.sub(r"(?:\.schema)?\.json\Z", "", file)
        if isinstance(schema, Mapping) and pattern.search(plain):
            name = re.sub(r"[/_.\-]{2,}", "/", pattern.sub("", plain)).strip("/_.-")
            yield name or "call", file


def _operation(name: str, request: str, response: str, schemas: Schemas, taken: set[str]) -> tuple[Operation, bool]:
    """Return the tool of a pair, and whether its ID is a number."""
    own = tool_name(re.sub(r"[^\w.-]+", "_", name.rpartition("/")[2]), taken)
    (payload, *_), replies = forms(own, {"$ref": request}, schemas), forms(own, {"$ref": response}, schemas)
    correlation = find_correlation(payload, None, [(each, None) for each in replies], schemas)
    sent = correlation.sent if correlation else None
    built = build_request(_without_optional_constants(payload), sent, schemas, {}, ())
    rules = reply_rules(payload, replies, correlation, schemas)
    reads = is_reading(own, payload.schema.get("description"))
    tool: Document = {
        "name": own,
        "description": summarize(payload.schema.get("description"), payload.schema.get("title"), name=own),
        "inputs": built.inputs,
        "annotations": hints(own, reads),
        "tool_call_template": {"message": built.template, **({"reply": rules} if rules else {})},
    }
    operation = Operation(own, tool=tool, read_only=reads)
    return operation, correlation is not None and correlation.is_number


def _without_optional_constants(payload: Payload) -> Payload:
    """Return a request in which only constants that it must have are constant; others are a choice: `subscribe: 1`."""
    required = texts(payload.schema.get("required"))
    kept = {path: value for path, value in payload.constants.items() if path[0] in required}
    return Payload(payload.name, payload.schema, kept)
