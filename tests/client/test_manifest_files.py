"""Files that cannot be loaded: each problem has its message and its code."""

from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import Any

import pytest

from utcp_ws_mcp.client import manifest_files
from utcp_ws_mcp.client.manifest_files import check_unique_names, load_manifest, read_file
from utcp_ws_mcp.errors import InvalidManifest, InvalidTemplate

FILES = {
    "a comment": (b'// x\n{"url": "wss://a.example/"}', ":1:1: invalid JSON: JSON has no comments. ", "invalid-json"),
    "Markdown": (b"```json\n{}\n```", ":1:1: invalid JSON: the lines with ``` are Markdown.", "invalid-json"),
    "single quotes": (b"{'a': 1}", ":1:2: invalid JSON: JSON has texts in straight double quotes", "invalid-json"),
    "quotes of a text processor": ('{"a": “b”}'.encode(), ":1:7: invalid JSON: JSON has texts in", "invalid-json"),
    "values of Python": (b'{"a": True}', ":1:7: invalid JSON: JSON has the values true, false", "invalid-json"),
    "no number": (b'{"NaN": "NaN",\n"b": NaN}', ":2:6: invalid JSON: JSON has no such number.", "invalid-json"),
    "an infinite number": (b"[-Infinity]", ":1:2: invalid JSON: JSON has no such number.", "invalid-json"),
    "UTF-16": ('{"a": 1}'.encode("utf-16-le"), ": the file is not UTF-8 text. Save it as UTF-8.", "invalid-encoding"),
    "another encoding": (b"\xff", ": the file is not UTF-8 text. Save it as UTF-8.", "invalid-encoding"),
    "nesting": (b"[" * 200 + b"]" * 200, ": the manifest is nested more than 128 levels deep.", "file-too-large"),
    "a number": (
        b"[" + b"9" * 5000 + b"]",
        ": the manifest is nested too deeply, or contains a number that cannot be represented.",
        "file-too-large",
    ),
    "another form": (b"5", ':1:1: expected an object with "manual_call_templates"', "unknown-manifest-form"),
}


@pytest.mark.parametrize(("content", "message", "code"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_manifest_is_reported_with_its_place(
    tmp_path: Path, content: bytes, message: str, code: str
) -> None:
    file = tmp_path / "m.json"
    file.write_bytes(content)
    with pytest.raises(InvalidManifest) as invalid:
        load_manifest(file, {})
    assert str(invalid.value).startswith(f"{file}{message}")
    assert [problem.code for problem in invalid.value.problems] == [code]


SECRETS = {
    "an expression": ({"reply": {"match": "${API_KEY} =="}}, "'${API_KEY} =='"),
    "a name in an expression": ({"reply": {"match": "${API_KEY}"}}, "unknown name '${API_KEY}'"),
    "a subprotocol": ({"protocol": ["${API_KEY} x"]}, "'${API_KEY} x' is not a token"),
    "a network": ({"network": {"allow": ["${API_KEY}"]}}, "'${API_KEY}' is not 'private'"),
}


@pytest.mark.parametrize(("fields", "shown"), SECRETS.values(), ids=SECRETS)
def test_a_problem_of_a_template_does_not_show_the_value_of_a_secret(
    tmp_path: Path, fields: dict[str, Any], shown: str
) -> None:
    file = tmp_path / "m.json"
    file.write_text(json.dumps({"url": "wss://a.example/", "tools": [{"name": "t"}], **fields}), encoding="utf-8")
    with pytest.raises(InvalidManifest) as invalid:
        load_manifest(file, {"API_KEY": "hunter2"})
    assert shown in str(invalid.value)
    assert "hunter2" not in str(invalid.value)


def test_a_file_of_too_many_bytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_files, "MAX_MANIFEST_BYTES", 1)
    (tmp_path / "m.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InvalidManifest, match=r"the manifest has more than 1 bytes\. \[file-too-large\]"):
        load_manifest(tmp_path / "m.json", {})


def test_files_that_do_not_exist_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidManifest, match=r"the file cannot be read: there is no such file\. \[file-not-readable\]"
    ):
        load_manifest(tmp_path / "none.json", {})
    with pytest.raises(InvalidManifest, match=r"hosts do not replace ~, so write the whole path\. \["):
        load_manifest(Path("~/none.json"), {})
    with pytest.raises(InvalidTemplate) as invalid:
        read_file(PurePath(tmp_path), "query.json")
    assert str(invalid.value) == "cannot read the file 'query.json': there is no such file. [file-not-readable]"


def test_two_manifests_with_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text('[{"name": "m", "url": "wss://a.example/", "tools": []}]', encoding="utf-8")
    with pytest.raises(InvalidManifest) as invalid:
        check_unique_names([load_manifest(tmp_path / name, {}) for name in ("a.json", "b.json")])
    expected = (
        f"{tmp_path / 'b.json'}: [0].name: 'm' is already the name of a call template in {tmp_path / 'a.json'}. "
        "Give it another name. [duplicate-name]"
    )
    assert str(invalid.value) == expected


def test_a_file_that_a_manifest_names_is_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utcp_ws_mcp.client.manifest_files.MAX_MANIFEST_BYTES", 10)
    (tmp_path / "ten").write_bytes(b"x" * 10)
    (tmp_path / "endless").symlink_to("/dev/zero")
    assert read_file(PurePath(tmp_path), "ten") == b"x" * 10
    with pytest.raises(InvalidTemplate, match="the file 'endless' has more than 10 bytes"):
        read_file(PurePath(tmp_path), "endless")
