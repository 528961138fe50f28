import json
import re
from pathlib import PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.errors import InvalidManifest
from utcp_ws_mcp.manifest.caller_variables import ANY_CALLER
from utcp_ws_mcp.manifest.entries import DisabledEntry
from utcp_ws_mcp.manifest.inheritance import ENTRY_KEYS
from utcp_ws_mcp.manifest.loader import inline_variables, load_document, variable_files
from utcp_ws_mcp.manifest.presets import read_preset
from utcp_ws_mcp.manifest.variables import CallerValues, VariableResolver

FUZZ = settings(max_examples=200, deadline=None, database=None)
URL = "wss://api.example/ws"
SHAPE = (
    'm.json: expected an object with "manual_call_templates", an array of call templates, '
    'one call template (with "url"), or a UTCP manual (with "tools"). [unknown-manifest-form]'
)

NOTHING_TO_SERVE = "there is nothing to serve: the manifest has no WebSocket call template. Add one. [nothing-to-serve]"


def load(document, source="m.json", **variables):
    return load_document(document, VariableResolver([variables]), source, PurePath("/manifests"))


def problems_of(document, **variables):
    with pytest.raises(InvalidManifest) as invalid:
        load(document, **variables)
    return [str(problem) for problem in invalid.value.problems]


SHAPES = {
    "a UTCP client configuration": (
        {"$schema": "x", "variables": {}, "manual_call_templates": [{"url": URL}, {"url": URL, "name": "b"}]},
        [("api_example", "manual_call_templates[0]"), ("b", "manual_call_templates[1]")],
    ),
    "an array": ([{"name": "a", "url": URL}, {"name": "b", "url": URL}], [("a", "[0]"), ("b", "[1]")]),
    "one call template": ({"url": URL}, [("api_example", "")]),
    "one call template with its type": (
        {"call_template_type": "websocket", "name": "a", "url": URL, "$schema": "x"},
        [("a", "")],
    ),
    "a UTCP manual": (
        {"utcp_version": "1.0", "tools": [{"name": "t", "tool_call_template": {"url": URL}}]},
        [("m", "")],
    ),
    "a UTCP manual with its name": (
        {"name": "own", "tools": [{"name": "t", "tool_call_template": {"url": URL}}]},
        [("own", "")],
    ),
}


@pytest.mark.parametrize(("document", "entries"), SHAPES.values(), ids=SHAPES)
def test_every_shape_of_a_manifest_loads(document, entries):
    assert [(entry.name, entry.path) for entry in load(document).entries] == entries


@pytest.mark.parametrize("document", [None, 5, "x", True, {}, {"templates": []}], ids=repr)
def test_another_shape_is_refused_with_what_was_expected(document):
    with pytest.raises(InvalidManifest) as invalid:
        load(document)

    assert str(invalid.value) == SHAPE


REFUSED = {
    "templates that are no array": (
        {"manual_call_templates": {}},
        ["manual_call_templates: expected an array of call templates. [wrong-type]"],
    ),
    "a template that is no object": ([URL], ["[0]: expected a call template (an object). [wrong-type]"]),
    "no template": (
        {"manual_call_templates": []},
        [NOTHING_TO_SERVE],
    ),
    "templates of other types only": (
        [{"call_template_type": "http", "url": "https://a.example"}],
        [NOTHING_TO_SERVE],
    ),
    "a slip in a client configuration": (
        {"manual_call_templates": [{"url": URL}], "varables": {}},
        ["varables: unknown key. Did you mean 'variables'? [unknown-key]"],
    ),
    "variables that are no object": (
        {"manual_call_templates": [{"url": URL}], "variables": []},
        ["variables: expected an object of names and values. [wrong-type]"],
    ),
    "a loader of another kind": (
        {"manual_call_templates": [{"url": URL}], "load_variables_from": [{"variable_loader_type": "vault"}]},
        ['load_variables_from[0]: expected {"variable_loader_type": "dotenv", "env_file_path": "…"}. [invalid-value]'],
    ),
    "a template without a URL": ([{"name": "a"}], ["[0].url: this field is required. [missing-key]"]),
    "a URL that shows no host": (
        [{"url": "wss://"}],
        ["[0].name: this field is required, because the URL contains no host to make a name of. [missing-key]"],
    ),
    "a slip": (
        [{"url": URL, "repsonse_format": "json"}],
        ["[0].repsonse_format: unknown key. Did you mean 'response_format'? [unknown-key]"],
    ),
    "a field that another one replaces": (
        [{"url": URL, "inbox": {"match": "message.event"}}],
        [
            (
                '[0].inbox: was replaced by feeds. Write "feeds": [{"name": "received", "match": …, "start": '
                '"first_call"}] with the same "match": its tool received_events replaces the tool that listened. '
                "[field-replaced]"
            )
        ],
    ),
    "feeds without what is an event": (
        [{"url": URL, "feeds": [{"name": "a"}]}],
        ['[0].feeds[0]: "match" is required: which messages are events? Add it. [missing-key]'],
    ),
    "a common field that feeds do not have": (
        [{"url": URL, "feed_defaults": {"name": "a"}}],
        [
            (
                "[0].feed_defaults: 'name' is not a field that feeds can have in common. Use close, description, "
                "flat, inputs, item, keep, key, linger, match, max_age, max_bytes, max_instances, max_wait_seconds, "
                "open, position, query, resume, size, start, until. [unknown-key]"
            )
        ],
    ),
    "a call template that is no object, beside a message": (
        [{"url": URL, "tools": [{"name": "t", "tool_call_template": True}]}],
        ["[0].tools[0].tool_call_template: expected an object. [wrong-type]"],
    ),
    "a slip in a UTCP manual": (
        {"tools": [], "utcp_verson": "1"},
        ["utcp_verson: unknown key. Did you mean 'utcp_version'? [unknown-key]"],
    ),
    "a tool without a URL": (
        {"tools": [{"name": "t"}]},
        ["url: 'm' has no \"url\", and no tool has one of its own. Add it. [missing-key]"],
    ),
    "a tool without a name": (
        {"url": URL, "tools": [{"description": "x"}]},
        ["tools[0].name: this field is required. [missing-key]"],
    ),
    "a tool that is none beside one that is wrong": (
        {"url": URL, "tools": [{"name": 5}, "x"]},
        ["tools[1]: expected an object. [wrong-type]", "tools[0].name: expected a string. [wrong-type]"],
    ),
    "a field of call templates in the tool itself": (
        {"url": URL, "tools": [{"name": "t", "response_format": "json", "inptus": {}}]},
        [
            (
                "tools[0].response_format: this field belongs to the call template. "
                'Move it into "tool_call_template". [misplaced-key]'
            ),
            "tools[0].inptus: unknown key. Did you mean 'inputs'? [unknown-key]",
        ],
    ),
    "a tool with an empty name": (
        {"url": URL, "tools": [{"name": ""}]},
        ["tools[0].name: cannot be empty. [invalid-value]"],
    ),
    "two entries of one name": (
        [{"name": "a", "url": URL}, {"name": "a", "url": URL}],
        ["[1].name: 'a' is already the name of [0]. Give each call template another name. [duplicate-name]"],
    ),
    "two entries of one host": (
        [{"url": URL}, {"url": URL}],
        ["[1].name: 'api_example' is already the name of [0]. Give each call template another name. [duplicate-name]"],
    ),
}


@pytest.mark.parametrize(("document", "problems"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_refused_with_its_path(document, problems):
    assert problems_of(document) == problems


def test_an_unknown_key_of_a_tool_is_reported_once():
    document = {"url": URL, "tools": [{"name": "t", "tool_call_template": {"mesage": "x"}}]}

    assert problems_of(document) == [
        "tools[0].tool_call_template.mesage: unknown key. Did you mean 'message'? [unknown-key]"
    ]


def test_every_problem_of_a_file_is_reported_at_once():
    document = {
        "manual_call_templates": [
            {"url": URL, "timeout": -1, "preset": "jsonrpc", "tools": [{"name": "t", "inputs": 5}, {"nam": "u"}]},
            5,
            {"name": "b", "url": URL, "auth": {"auth_type": "oauth2", "client_id": "x", "client_secret": "y"}},
            {"name": "c", "url": URL, "limits": {"max_conections": 1}},
        ],
        "post_processsing": 1,
    }

    assert problems_of(document) == [
        "post_processsing: unknown key. Did you mean 'post_processing'? [unknown-key]",
        "manual_call_templates[0].preset: there is no preset 'jsonrpc'. Did you mean 'jsonrpc2'? [unknown-preset]",
        "manual_call_templates[0].timeout: expected a number greater than 0. [invalid-value]",
        "manual_call_templates[0].tools[0].inputs: expected an object. [wrong-type]",
        "manual_call_templates[0].tools[1].name: this field is required. [missing-key]",
        "manual_call_templates[0].tools[1].nam: unknown key. Did you mean 'name'? [unknown-key]",
        "manual_call_templates[1]: expected a call template (an object). [wrong-type]",
        "manual_call_templates[2].auth.token_url: this field is required. [missing-key]",
        "manual_call_templates[3].limits.max_conections: unknown key. Did you mean 'max_connections'? [unknown-key]",
    ]


def test_a_problem_of_an_entry_without_url_is_reported_at_the_entry():
    tools = [{"name": name, "tool_call_template": {"url": URL}} for name in "ab"]

    assert problems_of([{"name": "m", "timeout": -1, "tools": tools}]) == [
        "[0].timeout: expected a number greater than 0. [invalid-value]"
    ]


@pytest.mark.parametrize("loaders", [{"variable_loader_type": "dotenv", "env_file_path": ".env"}, ".env"], ids=repr)
def test_loaders_that_are_no_array_are_refused(loaders):
    assert problems_of({"manual_call_templates": [{"url": URL}], "load_variables_from": loaders})


NAMES = {
    "its own": ({"name": "n", "url": URL}, "n"),
    "the host": ({"url": "wss://api.eu-1.example:8443/ws"}, "api_eu_1_example"),
    "a host that is an IPv4 address": ({"url": "ws://127.0.0.1:9000"}, "127_0_0_1"),
    "a host that is an IPv6 address": ({"url": "ws://[::1]:9000/"}, "1"),
    "the host behind an empty name": ({"name": "", "url": URL}, "api_example"),
}


@pytest.mark.parametrize(("entry", "name"), NAMES.values(), ids=NAMES)
def test_an_entry_is_named_by_itself_or_by_its_host(entry, name):
    assert [found.name for found in load([entry]).entries] == [name]


def test_entries_of_other_types_are_skipped_and_named():
    manifest = load([{"call_template_type": "http", "name": "web"}, {"url": URL}, {"call_template_type": "cli"}])

    assert [entry.name for entry in manifest.entries] == ["api_example"]
    assert manifest.warnings == (
        "web: the call_template_type 'http' is not supported. Call template skipped. [other-protocol]",
        "[2]: the call_template_type 'cli' is not supported. Call template skipped. [other-protocol]",
    )


def test_keys_without_effect_are_named_once():
    manifest = load({"manual_call_templates": [{"url": URL}], "tool_repository": {}, "post_processing": []})

    assert manifest.warnings == (
        "post_processing, tool_repository: no effect in this program. Ignored. [field-without-effect]",
    )


def test_comments_have_no_effect():
    tool = {"$comment": "c", "name": "t", "tool_call_template": {"$comment": "d", "timeout": 5}}

    (entry,) = load([{"$comment": "b", "url": URL, "tools": [tool]}]).entries

    assert entry.tools[0].template.timeout == 5


def test_a_tool_inherits_from_its_entry_which_inherits_from_its_preset():
    entry = {
        "url": URL,
        "preset": "jsonrpc2",
        "timeout": 5,
        "reply": {"result": "message.result.value"},
        "limits": {"max_connections": 2},
        "tools": [
            {
                "name": "t",
                "tool_call_template": {"reply": {"error": None}, "limits": {"max_in_flight": 1}, "request_id": None},
            },
            {"name": "u"},
        ],
    }
    preset = read_preset("jsonrpc2")

    (loaded,) = load(entry).entries
    changed, plain = (tool.template for tool in loaded.tools)

    assert (plain.reply.match, plain.reply.error) == (preset["reply"]["match"], preset["reply"]["error"])
    assert plain.reply.result == changed.reply.result == "message.result.value"
    assert plain.message == changed.message == preset["message"]
    assert (plain.request_id, changed.request_id) == ("counter", "uuid")
    assert changed.reply.error is None
    assert (changed.limits.max_connections, changed.limits.max_in_flight) == (2, 1)
    assert changed.timeout == 5


def test_the_older_dialect_loads():
    (entry,) = load(
        [{"url": URL, "request_data_format": "text", "request_data_template": "GET UTCP_ARG_key_UTCP_ARG"}]
    ).entries

    assert entry.template.message == "GET UTCP_ARG_key_UTCP_ARG"


DISCOVERS = {
    "without tools": ({}, True),
    "with tools": ({"tools": [{"name": "t"}]}, False),
    "with no tools at all": ({"tools": []}, False),
    "with tools and discovery": ({"tools": [{"name": "t"}], "discovery": "handshake"}, True),
    "with discovery": ({"discovery": {"send": "manual"}}, True),
}


@pytest.mark.parametrize(("options", "asked"), DISCOVERS.values(), ids=DISCOVERS)
def test_an_endpoint_is_asked_for_its_manual_where_the_manifest_does_not_give_it(options, asked):
    (entry,) = load({"url": URL, **options}).entries

    assert entry.uses_discovery is asked


def test_a_manual_as_a_manifest_requests_no_manual():
    (entry,) = load({"tools": [{"name": "t", "tool_call_template": {"url": URL}}]}).entries

    assert entry.template is None
    assert not entry.uses_discovery


def test_missing_variables_disable_only_their_entry_and_all_are_reported():
    document = [
        {"name": "a", "url": "wss://${HOST}/", "headers": {"X": "$KEY"}, "message": "{{ vars.TOKEN }} ${SET}"},
        {"name": "b", "url": URL},
        {"name": "c", "url": "$URL"},
    ]

    manifest = load(document, SET="set")

    assert [entry.name for entry in manifest.entries] == ["b"]
    assert manifest.disabled == (
        DisabledEntry("a", ("HOST", "KEY", "TOKEN"), "[0]"),
        DisabledEntry("c", ("URL",), "[2]"),
    )


def test_a_manifest_whose_entries_are_all_disabled_still_loads():
    manifest = load([{"name": "a", "url": "$URL"}])

    assert manifest.entries == ()
    assert manifest.disabled == (DisabledEntry("a", ("URL",), "[0]"),)


def test_variables_are_bound_for_the_entry_that_names_them():
    document = [
        {"name": "my_api", "url": URL, "auth": {"auth_type": "api_key", "api_key": "${KEY}"}},
        {"name": "other", "url": URL, "auth": {"auth_type": "api_key", "api_key": "${KEY}"}},
    ]

    first, second = load(document, KEY="plain", my__api_KEY="own").entries

    assert first.template.auth.api_key.get_secret_value() == "own"
    assert second.template.auth.api_key.get_secret_value() == "plain"
    assert (first.own_variables, second.own_variables) == ({"KEY": "own"}, {})


def test_a_value_of_a_variable_is_never_looked_through():
    (entry,) = load([{"url": URL, "auth": {"auth_type": "api_key", "api_key": "$A"}}], A="${B} $B", B="b").entries

    assert entry.template.auth.api_key.get_secret_value() == "${B} $B"


def test_a_value_of_a_variable_is_checked_like_what_is_written():
    auth = {"auth_type": "basic", "username": "$USER", "password": "p"}

    assert problems_of({"url": URL, "auth": auth}, USER="a:b") == [
        "auth.username: a user name cannot contain ':' (RFC 7617 §2). Use another user name. [invalid-user-name]"
    ]


def test_a_default_that_is_a_variable_is_bound():
    override = {"tool_overrides": {"t": {"defaults": {"key": "${KEY}"}}}}

    (entry,) = load([{"url": URL, "tools": [{"name": "t"}], **override}], KEY="bound").entries

    assert entry.options.tool_overrides["t"].defaults == {"key": "bound"}


@pytest.mark.parametrize("name", ["message", "url", "description", "headers"])
def test_a_default_that_is_a_variable_is_bound_whatever_its_argument_is_called(name):
    override = {"tool_overrides": {"t": {"defaults": {name: "${KEY}"}}}}

    (entry,) = load([{"url": URL, "tools": [{"name": "t"}], **override}], KEY="bound").entries

    assert entry.options.tool_overrides["t"].defaults == {name: "bound"}


@pytest.mark.parametrize("name", ["query", "message", "send", "url"])
def test_a_default_that_is_a_variable_is_bound_whatever_its_tool_is_called(name):
    override = {"description": "Write ${OTHER}.", "defaults": {"key": "${KEY}"}, "$comment": "none"}
    document = {"url": "wss://a.example/", "tools": [{"name": name}], "tool_overrides": {name: override}}
    manifest = load_document(document, VariableResolver([{"KEY": "bound"}]), "m.json", PurePath())
    (entry,) = manifest.entries
    assert entry.options.tool_overrides[name].defaults == {"key": "bound"}
    assert entry.options.tool_overrides[name].description == "Write ${OTHER}."
    assert entry.variables == {"KEY": "bound"}


@pytest.mark.parametrize("key", ["let", "capture"])
@pytest.mark.parametrize("name", ["query", "message", "url"])
def test_a_variable_in_an_expression_is_found_whatever_its_value_is_called(key, name):
    own = {"let": {name: "vars.KEY ~ '${KEY}'"}}
    step = {"http": {"url": "https://a.example/"}, "capture": {name: "vars.KEY ~ '${KEY}'"}}
    document = {
        "url": "wss://a.example/",
        "tools": [{"name": "t"}],
        **(own if key == "let" else {"before_connect": [step]}),
    }
    (entry,) = load_document(document, VariableResolver([{"KEY": "bound"}]), "m.json", PurePath()).entries
    written = entry.raw["let"] if key == "let" else entry.raw["before_connect"][0]["capture"]
    assert written == {name: "vars.KEY ~ 'bound'"}


def test_a_tool_replaces_the_whole_query_that_it_inherits():
    tools = [
        {"name": "own", "tool_call_template": {"query": {"b": None}}},
        {"name": "none", "tool_call_template": {"query": None}},
        {"name": "inherited"},
    ]
    document = {"url": "wss://a.example/", "query": {"a": 1, "b": "${KEY}"}, "tools": tools}
    (entry,) = load_document(document, VariableResolver([{"KEY": "x"}]), "m.json", PurePath()).entries
    assert [tool.template.query for tool in entry.tools] == [{"b": None}, {}, {"a": 1, "b": "${KEY}"}]


def test_variables_in_descriptions_and_schemas_stay_text():
    tool = {"name": "t", "description": "write ${NAME}", "inputs": {"properties": {"x": {"default": "$NAME"}}}}

    (entry,) = load([{"url": URL, "tools": [tool]}]).entries

    assert entry.tools[0].tool.description == "write ${NAME}"
    assert entry.tools[0].tool.inputs == {"properties": {"x": {"default": "$NAME"}}}


def test_an_entry_shows_no_values():
    (entry,) = load(
        [{"name": "m", "url": "wss://${HOST}/?k=${KEY}"}], HOST="a.example", KEY="s3cret", m_X="s3cret"
    ).entries

    assert "s3cret" not in repr(entry)


def test_relative_paths_start_at_the_manifest():
    (entry,) = load([{"url": URL}]).entries

    assert entry.folder == PurePath("/manifests")


FILES = {
    "named": (
        {"load_variables_from": [{"env_file_path": "a.env"}, {"env_file_path": "b/c.env"}]},
        ["a.env", "b/c.env"],
    ),
    "none": ({}, []),
    "wrong": ({"load_variables_from": [5, {}, {"env_file_path": 5}]}, []),
    "no array": ({"load_variables_from": "a.env"}, []),
    "no object": ([], []),
}


@pytest.mark.parametrize(("document", "files"), FILES.values(), ids=FILES)
def test_the_dotenv_files_of_a_manifest_are_found(document, files):
    assert variable_files(document) == files


INLINE = {
    "values": ({"variables": {"A": "x", "B": 5}}, {"A": "x", "B": "5"}),
    "none": ({}, {}),
    "wrong": ({"variables": ["A"]}, {}),
    "no object": (["variables"], {}),
}


@pytest.mark.parametrize(("document", "variables"), INLINE.values(), ids=INLINE)
def test_a_manifests_own_variables_are_texts(document, variables):
    assert inline_variables(document) == variables


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(sorted(ENTRY_KEYS - {"preset"})) | st.text(max_size=4)
texts = st.sampled_from([URL, "websocket", "$A", "${A}", "json", "message.id == request_id", "", "a\ud800"])
presets = st.fixed_dictionaries({}, optional={"preset": st.sampled_from(["utcp", "jsonrpc2", "zzz", None, 5])})
templates = st.builds(
    lambda own, named: own | named,
    st.dictionaries(names, texts | anything | st.dictionaries(names, anything, max_size=3)),
    presets,
)
tools = st.lists(
    st.fixed_dictionaries({}, optional={"name": texts, "inputs": anything, "tool_call_template": templates | anything})
    | anything,
    max_size=3,
)
entries = st.builds(
    lambda own, url, listed: {**own, **url, **listed},
    templates,
    st.fixed_dictionaries({}, optional={"url": texts}),
    st.fixed_dictionaries({}, optional={"tools": tools}),
)
documents = (
    anything
    | entries
    | st.lists(entries, max_size=3)
    | st.fixed_dictionaries(
        {"manual_call_templates": st.lists(entries | anything, max_size=3) | anything},
        optional={"variables": anything, "load_variables_from": anything, "tool_repository": anything},
    )
    | st.fixed_dictionaries({"tools": tools}, optional={"name": anything})
)


@FUZZ
@given(documents)
def test_any_document_is_accepted_or_refused_with_its_problems(document):
    try:
        found = load(document, A="a")
    except InvalidManifest as invalid:
        found = invalid

    if isinstance(found, InvalidManifest):
        assert all(problem.message for problem in found.problems)
        assert found.problems
    else:
        assert found.entries or found.disabled


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": "wss://a.example:123456/"}, "the URL has the port 123456. Write a port from 1 to 65535."),
        (
            {"message": "{{ args.q | regex_find('it's') }}"},
            r"A quote in it has no end. Inside of '…' write \x27 (in JSON \\x27).",
        ),
    ],
)
def test_what_is_wrong_with_a_text_is_said_with_its_fix(fields, said, tmp_path):
    file = tmp_path / "m.json"
    file.write_text(json.dumps({"url": URL, "tools": [{"name": "t"}], **fields}))
    with pytest.raises(InvalidManifest) as refused:
        load_manifest(file, {})
    assert said in str(refused.value)


OTHER = {"call_template_type": "http", "url": "https://a.example"}


def test_a_tool_of_another_type_is_skipped_and_named():
    tools = [{"name": "t", "tool_call_template": OTHER}, {"name": "u"}, {"name": "v", "tool_call_template": {
        "call_template_type": "websocket"}}]  # fmt: skip
    manifest = load({"name": "m", "url": URL, "tools": tools})
    (entry,) = manifest.entries
    assert [tool.tool.name for tool in entry.tools] == ["u", "v"]
    assert manifest.warnings == (
        "m: the call_template_type 'http' of the tool 't' is not supported. Tool skipped. [other-protocol]",
    )


def test_a_manual_with_tools_of_another_type_only_lacks_no_url():
    manifest = load({"name": "m", "tools": [{"name": "t", "tool_call_template": OTHER}]})
    assert manifest.entries[0].tools == ()
    assert problems_of({"name": "m", "tools": [{"name": "t", "tool_call_template": {"timeout": 5}}]})[0] == (
        "url: 'm' has no \"url\", and no tool has one of its own. Add it. [missing-key]"
    )
    assert problems_of({"name": "m", "tools": [{"name": "t", "tool_call_template": 5}]})[0].startswith(
        "url: 'm' has no"
    )


def test_a_tool_that_is_no_object_is_one_problem():
    assert problems_of({"name": "m", "url": URL, "tools": [5, {"name": "t"}]}) == [
        "tools[0]: expected an object. [wrong-type]"
    ]
    assert problems_of({"name": "m", "url": URL, "tools": 5}) == ["tools: expected an array. [wrong-type]"]


def test_a_field_of_a_call_template_in_a_tool_is_said_to_belong_there():
    (problem,) = problems_of({"name": "m", "url": URL, "tools": [{"name": "t", "message": "m"}]})
    assert problem == (
        'tools[0].message: this field belongs to the call template. Move it into "tool_call_template". [misplaced-key]'
    )


def test_a_tool_without_fields_of_its_own_shares_the_call_template():
    tools = [
        {"name": "t"},
        {"name": "u", "tool_call_template": {}},
        {"name": "v", "tool_call_template": {"timeout": 5}},
    ]
    (entry,) = load({"name": "m", "url": URL, "tools": tools}).entries
    first, second, third = entry.tools
    assert first.template is entry.template
    assert second.template is entry.template
    assert (third.template.timeout, third.path) == (5, "tools[2]")
    for tool in entry.tools:
        assert (tool.discovered, tool.is_template, tool.digest, tool.remote_fields) == (False, False, "", frozenset())


def test_only_one_entry_is_loaded_if_asked_for():
    document = [{"name": "a", "url": URL}, {"name": "b", "url": "nonsense"}, {"url": URL}]

    def names(only):
        entries = load_document(document, VariableResolver([{}]), "m.json", PurePath(), only=only).entries
        return [entry.name for entry in entries]

    assert names("a") == ["a"]
    assert names("api_example") == ["api_example"]
    manual = {"tools": [{"name": "t", "tool_call_template": {"url": URL}}]}
    assert load_document(manual, VariableResolver([{}]), "/x/m.json", PurePath(), only="m").entries[0].name == "m"


HOST_FILE = "this is the configuration file of an MCP host"


@pytest.mark.parametrize(("document", "is_host_file"), [({"mcpServers": {}}, True), ({"mcpServers": 5}, False)])
def test_the_configuration_of_a_host_is_recognized(document, is_host_file):
    (problem,) = problems_of(document)
    assert problem.startswith(HOST_FILE) is is_host_file
    assert problem.endswith('or a UTCP manual (with "tools"). [unknown-manifest-form]')


def test_a_name_that_is_taken_names_its_owner():
    first, second = {"name": "a", "url": URL}, {"name": "a", "url": URL}
    said = "'a' is already the name of [0]. Give each call template another name. [duplicate-name]"
    assert problems_of([first, second]) == [f"[1].name: {said}"]


ENTRY_NAMES = {
    "wss://[::1]:80/x": "1", "wss://a-b.c.example:1/": "a_b_c_example", "ws://127.0.0.1/": "127_0_0_1",
    "wss://-a-.example/": "a_example",
}  # fmt: skip


@pytest.mark.parametrize(("url", "name"), ENTRY_NAMES.items())
def test_the_host_names_an_entry(url, name):
    (entry,) = load({"url": url, "network": {"plaintext": True}}).entries
    assert entry.name == name
    (named,) = load({"url": url, "name": "", "network": {"plaintext": True}}).entries
    assert named.name == name


def test_a_file_without_entries_that_work_has_each_problem_of_its_keys():
    document = {
        "url": URL,
        "variables": 5,
        "load_variables_from": [5, {"variable_loader_type": "dotenv"}],
        "catalog": {},
    }
    expected = 'expected {"variable_loader_type": "dotenv", "env_file_path": "…"}. [invalid-value]'
    assert problems_of(document) == [
        "catalog.summary: this field is required. [missing-key]",
        "variables: expected an object of names and values. [wrong-type]",
        f"load_variables_from[0]: {expected}",
        f"load_variables_from[1]: {expected}",
    ]
    manual = {"tools": [{"name": "t", "tool_call_template": {"url": URL}}], "nme": 1}
    assert problems_of(manual) == ["nme: unknown key. Did you mean 'name'? [unknown-key]"]


def test_an_entry_knows_which_values_its_caller_brings():
    document = {"name": "m", "url": URL, "tools": [{"name": "t"}], "headers": {"A": "${caller:A}", "B": "${B}"}}

    def entry_with(callers):
        resolver = VariableResolver([{"A": "mine-a", "B": "mine-b"}], callers=callers)
        return load_document(document, resolver, "m.json", PurePath()).entries[0]

    known, stand_ins, alone = map(entry_with, (CallerValues({"A": "theirs"}.get), ANY_CALLER, None))
    for entry in (known, stand_ins, alone):
        assert entry.caller_variables == {"A"}
        assert entry.own_values == {"B": "mine-b"}
    assert [entry.awaits_caller for entry in (known, stand_ins, alone)] == [False, True, False]
    assert [entry.caller_values for entry in (known, stand_ins, alone)] == [("theirs",), (), ("mine-a",)]
    assert stand_ins.variables["A"] == "caller.A"


def test_an_entry_is_equivalent_if_its_endpoint_and_options_are():
    def entry(path_before=0, **fields):
        listed = [{"name": f"x{n}", "url": URL} for n in range(path_before)]
        return load([*listed, {"name": "m", "url": URL, **fields}], A="1").entries[-1]

    assert entry().is_equivalent(entry(path_before=1))
    for fields in ({"timeout": 5}, {"max_tools": 5}, {"headers": {"X": "${A}"}}):
        assert not entry().is_equivalent(entry(**fields))


def test_a_manual_needs_a_url_only_for_the_tools_that_it_has():
    assert load({"name": "m", "tools": []}).entries[0].tools == ()
    url = {"tool_call_template": {"url": URL}}
    assert problems_of({"tools": [{"name": "t"}, {"name": "u", **url}]}) == [
        "tools[0].tool_call_template.url: this field is required. [missing-key]"
    ]


SECRET_NAMES = {
    "a tool": ({"tools": [{"name": "get_${API_KEY}"}]}, "tools[0].name", "API_KEY"),
    "the whole name of a tool": ({"tools": [{"name": "a"}, {"name": "$API_KEY"}]}, "tools[1].name", "API_KEY"),
    "a feed": ({"feeds": [{"name": "${TOKEN}", "match": "true"}]}, "feeds[0].name", "TOKEN"),
    "an override": ({"tool_overrides": {"a": {"name": "${TOKEN}"}}}, "tool_overrides.a.name", "TOKEN"),
    "a credential by its use": (
        {"headers": {"X": "${DOOR}"}, "tools": [{"name": "get_${DOOR}"}]}, "tools[0].name", "DOOR",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "path", "name"), SECRET_NAMES.values(), ids=SECRET_NAMES)
def test_a_name_that_every_host_sees_holds_no_secret(fields, path, name):
    (problem,) = problems_of({"name": "m", "url": URL, **fields}, API_KEY="hunter2", TOKEN="hunter2", DOOR="hunter2")
    assert problem == (
        f"{path}: hosts and models see this name, and ${{{name}}} holds a secret. Write the name without it. "
        "[secret-in-name]"
    )


def test_a_name_may_hold_a_variable_that_is_no_secret():
    document = {"name": "m", "url": URL, "headers": {"X": "${USER}"}, "tools": [{"name": "${USER}_${ROOM}_$${KEY}"}]}
    assert load(document, USER="ada", ROOM="hall").entries[0].tools[0].tool.name == "ada_hall_${KEY}"


@pytest.mark.parametrize("value", ["hunter", "hunter2", "hunter'2", 'hunter"2\\', "hunt'er\"2"])
def test_a_problem_does_not_show_the_value_of_a_secret(value):
    tool = {"name": "a", "tool_call_template": {"preset": "$API_KEY"}}
    for template in ({"preset": "${API_KEY}"}, {"tools": [tool]}):
        (problem,) = problems_of({"name": "m", "url": URL, **template}, API_KEY=value)
        assert re.search(r"there is no preset ['\"]\$\{API_KEY\}['\"]\.", problem)


def test_of_two_secrets_the_longer_one_is_hidden_as_a_whole():
    (problem,) = problems_of(
        {"url": URL, "preset": "${B_KEY}", "headers": {"A": "${A_KEY}"}}, A_KEY="hunter", B_KEY="hunter2"
    )
    assert "'${B_KEY}'" in problem


@pytest.mark.parametrize(("name", "value"), [("PRESET", "nowhere"), ("API_KEY", "nowhe"), ("KEY_LOGIN", "nowhere")])
def test_a_problem_shows_a_value_that_is_no_secret_or_too_short_to_be_one(name, value):
    (problem,) = problems_of({"url": URL, "preset": f"${{{name}}}"}, **{name: value})
    assert f"'{value}'" in problem
