"""What is said of a manifest that was loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from utcp_ws_mcp.authoring.examination import Examination, examine, field_description, marked
from utcp_ws_mcp.client.manifest_files import LoadedManifest, load_text
from utcp_ws_mcp.errors import Problem


def examined(folder: Path, document: Any, **environ: str) -> Examination:
    text = document if isinstance(document, str) else json.dumps(document)

    def load(extra: Mapping[str, str]) -> LoadedManifest:
        return load_text(text, folder / "m.json", {**environ, **extra})

    return examine(text, load({}), load)


def manifest(**fields: Any) -> dict[str, Any]:
    return {"name": "m", "url": "wss://a.example/", "tools": [{"name": "t", "description": "Do it."}], **fields}


def codes(problems: tuple[Problem, ...]) -> list[tuple[str, str]]:
    return [(each.path, each.code) for each in problems]


def test_certificates_that_cannot_be_used_are_a_warning_at_their_field(tmp_path: Path) -> None:
    found = examined(tmp_path, manifest(tls={"ca_file": "missing.pem"}))
    (warning,) = (each for each in found.warnings if each.path == "tls")
    assert warning.message.startswith("a certificate file cannot be used: tls.ca_file names no file.")
    assert warning.position is not None
    (tmp_path / "ca.pem").write_text("no certificate", encoding="utf-8")
    assert "tls" in [each.path for each in examined(tmp_path, manifest(tls={"ca_file": "ca.pem"})).warnings]
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    assert "tls" not in [each.path for each in examined(tmp_path, manifest(tls={"ca_file": "ca.pem"})).warnings]
    assert "tls" not in [each.path for each in examined(tmp_path, manifest(tls={"check_hostname": True})).warnings]


def test_certificates_of_a_tool_are_checked_once_where_they_stand(tmp_path: Path) -> None:
    tools = [{"name": "t", "tool_call_template": {"tls": {"ca_file": "missing.pem"}}}, {"name": "u"}]
    found = examined(tmp_path, manifest(tools=tools))
    paths = [each.path for each in found.warnings if each.path.endswith("tls")]
    assert paths == ["tools[0].tool_call_template.tls"]


def test_warnings_are_in_the_order_of_the_text_and_none_is_said_twice(tmp_path: Path) -> None:
    text = (
        '{"name": "m",\n "url": "wss://a.example/",\n "timeout": 3,\n "timeout": 4,\n'
        ' "tls": {"ca_file": "missing.pem"},\n "tools": [{"name": "t"}, {"name": "u"}]}'
    )
    found = examined(tmp_path, text)
    positions = [each.position or (0, 0) for each in found.warnings]
    assert positions == sorted(positions)
    assert len(set(found.warnings)) == len(found.warnings)
    assert any(each.position == (4, 2) for each in found.warnings)  # the key that is there twice


@pytest.mark.parametrize(
    ("use", "position"), [({"headers": {"X": "${KEY}"}}, (1, 1)), ({"message": {"k": "{{ vars.KEY }}"}}, (1, 1))]
)
def test_a_call_template_that_is_disabled_is_shown_where_its_variable_stands(
    tmp_path: Path, use: dict[str, Any], position: tuple[int, int]
) -> None:
    found = examined(tmp_path, manifest(**use))
    (missing,) = found.missing
    assert missing.position is not None
    text = json.dumps(manifest(**use))
    assert text[missing.position[1] - 1 :].startswith(("${KEY", "vars.KEY", '"${KEY', '"{{ vars.KEY'))
    assert (missing.path, missing.code, found.errors) == ("", "variable-not-set", ())
    assert examined(tmp_path, manifest(**use), KEY="x").missing == ()


def test_errors_that_a_value_would_not_solve_are_found_while_it_is_missing(tmp_path: Path) -> None:
    found = examined(tmp_path, manifest(headers={"X": "${KEY}"}, reply={"match": "message.id ="}))
    assert [each.path for each in found.errors] == ["reply.match"]
    assert len(found.missing) == 1


def test_the_description_of_a_field_belongs_to_a_wrong_value_but_not_to_an_unknown_key() -> None:
    assert field_description(Problem("timeout", "expected a number", code="c")).startswith("timeout: ")
    assert field_description(Problem("tools[0].name", "expected a text", code="c")).startswith("name: ")
    assert field_description(Problem("timeout", "unknown key. Known keys: …", code="c")) == ""
    assert field_description(Problem("nothing", "wrong", code="c")) == ""


def test_a_problem_is_marked_with_its_kind_and_its_place() -> None:
    one = marked("error", Problem("a.b", "wrong", (2, 3), code="c"))
    assert (one.path, one.message, one.position, one.code) == ("", "error: a.b: wrong", (2, 3), "c")
    assert marked("note", Problem("", "long", code="c")).message == "note: long"
