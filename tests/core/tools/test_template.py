from pathlib import PurePath

from utcp_ws_mcp.core.diagnostics import Diagnostics
from utcp_ws_mcp.core.tools.template import TemplateCompiler
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.models.call_template import CALL_FIELDS, CONNECTION_FIELDS, CONNECTION_SETTINGS, CallTemplate
from utcp_ws_mcp.manifest.remote_manual import read_manual
from utcp_ws_mcp.manifest.variables import VariableResolver


def entry_of(*tools, **fields):
    document = [{"name": "m", "url": "wss://a.example/ws", "tools": list(tools), **fields}]
    return load_document(document, VariableResolver([{}]), "m.json", PurePath()).entries[0]


def test_each_field_of_a_call_template_concerns_its_connection_or_one_call():
    assert set(CallTemplate.model_fields) == CONNECTION_FIELDS | CALL_FIELDS
    assert set() == CONNECTION_FIELDS & CALL_FIELDS
    assert set(CONNECTION_SETTINGS) <= CONNECTION_FIELDS


def test_what_the_network_wrote_shares_nothing_with_what_the_manifest_wrote():
    entry = entry_of({"name": "own"})
    remote, _ = read_manual({"tools": [{"name": "t", "tool_call_template": {"timeout": 5}}, {"name": "plain"}]}, entry)
    compiler, diagnostics = TemplateCompiler(entry), Diagnostics("")
    own, written, plain = (compiler.compile_template(tool, diagnostics) for tool in (*entry.tools, *remote))

    assert own.handshake is not written.handshake
    assert own is plain
    assert diagnostics.problems == []


def test_a_template_that_is_wrong_is_wrong_for_each_tool():
    entry = entry_of({"name": "a", "tool_call_template": {"message": "{{ nope }}"}})
    compiler = TemplateCompiler(entry)
    for _ in range(2):
        diagnostics = Diagnostics("t")
        compiler.compile_template(entry.tools[0], diagnostics)

        assert [problem.path for problem in diagnostics.problems] == ["t.message"]
