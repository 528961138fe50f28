"""A manifest whose variables are not set is checked with values that fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from utcp_ws_mcp.client.manifest_files import LoadedManifest
from utcp_ws_mcp.errors import InvalidManifest, Problem
from utcp_ws_mcp.lint.placeholders import load_with_placeholders

LOADED = cast("LoadedManifest", object())
VALUES = ["x", "1", "127.0.0.1", "wss://localhost/", "https://localhost/", "true", "{}"]


class Loader:
    """Loads a manifest that accepts only some values, and notes those that it was given."""

    def __init__(self, document: Any, fitting: Mapping[str, str], certain: str = "") -> None:
        self._document = document
        self._fitting = fitting
        self._certain = certain
        self.tried: list[dict[str, str]] = []

    def __call__(self, values: Mapping[str, str]) -> LoadedManifest:
        self.tried.append(dict(values))
        paths = {name: path for path, name in _strings(self._document, "")}
        wrong = [paths[name] for name, value in self._fitting.items() if values[name] != value]
        wrong += [self._certain] if self._certain else []
        if wrong:
            raise InvalidManifest("m.json", [Problem(path, "is wrong") for path in wrong])
        return LOADED


def _strings(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value.strip("${}")


@pytest.mark.parametrize("fitting", VALUES)
def test_a_variable_gets_the_first_value_that_fits(fitting: str) -> None:
    document = {"url": "${URL}"}
    load = Loader(document, {"URL": fitting})
    assert load_with_placeholders(document, ["URL"], load) == (LOADED, None)
    assert [each["URL"] for each in load.tried] == VALUES[: VALUES.index(fitting) + 1]


def test_each_variable_gets_its_own_value() -> None:
    document = {"url": "${A}", "tools": [{"x": 1}, {"headers": {"b": "${B}"}}], "other": "${C}"}
    load = Loader(document, {"A": "{}", "B": "{}"})
    assert load_with_placeholders(document, ["A", "B", "C"], load) == (LOADED, None)
    assert load.tried[-1] == {"A": "{}", "B": "{}", "C": "x"}
    assert len(load.tried) == len(VALUES)


def test_variables_that_fail_one_after_the_other_are_all_tried() -> None:
    document = {"a": "${A}", "b": "${B}"}

    def load(values: Mapping[str, str]) -> LoadedManifest:
        wrong = next((name for name in ("A", "B") if values[name] != "true"), None)
        if wrong:
            raise InvalidManifest("m.json", [Problem(wrong.lower(), "is wrong")])
        return LOADED

    assert load_with_placeholders(document, ["A", "B"], load) == (LOADED, None)


def test_a_problem_that_no_variable_explains_is_the_only_one_that_is_reported() -> None:
    document = {"url": "${URL}", "timeout": "x"}
    load = Loader(document, {"URL": "no value"}, certain="timeout")
    loaded, invalid = load_with_placeholders(document, ["URL"], load)
    assert loaded is None
    assert invalid is not None
    assert (invalid.source, [each.path for each in invalid.problems]) == ("m.json", ["timeout"])
    assert len(load.tried) == 1


def test_a_variable_for_which_no_value_fits_says_nothing() -> None:
    document = {"url": "${URL}"}
    load = Loader(document, {"URL": "another"})
    assert load_with_placeholders(document, ["URL"], load) == (None, None)
    assert [each["URL"] for each in load.tried] == VALUES


def test_without_missing_variables_nothing_is_tried() -> None:
    load = Loader({}, {})
    assert load_with_placeholders({}, [], load) == (None, None)
    assert load.tried == []


@pytest.mark.parametrize(
    ("path", "is_explained"),
    [
        ("tools[1].url", True),
        ("tools[1]", True),
        ("tools", True),
        ("", True),
        ("tools[1].url.host", True),  # the place is inside of the text
        ("tools[1].missing", True),  # the object around it has the variable
        ("tools[2].url", True),
        ("tools[0].url", False),
        ("tools[0].missing", False),
        ("name", False),
    ],
)
def test_a_problem_is_explained_by_a_variable_in_the_value_at_its_place(path: str, is_explained: bool) -> None:
    document = {"name": "m", "tools": [{"url": "wss://a/"}, {"url": "wss://${HOST}/"}]}

    def load(values: Mapping[str, str]) -> LoadedManifest:
        if values["HOST"] == "x":
            raise InvalidManifest("m.json", [Problem(path, "is wrong")])
        return LOADED

    loaded, invalid = load_with_placeholders(document, ["HOST"], load)
    assert (loaded is LOADED, invalid is None) == (is_explained, is_explained)


def test_a_variable_that_is_set_explains_nothing() -> None:
    document = {"url": "${SET}"}

    def load(_: Mapping[str, str]) -> LoadedManifest:
        raise InvalidManifest("m.json", [Problem("url", "is wrong")])

    _, invalid = load_with_placeholders(document, ["OTHER"], load)
    assert invalid is not None
