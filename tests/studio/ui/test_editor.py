"""The editor: what is offered and said while one types, and how marks and the cursor come to their places."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nicegui import ui
from nicegui.testing import User

from utcp_ws_mcp.studio.checking import Finding, Severity
from utcp_ws_mcp.studio.completion import describe
from utcp_ws_mcp.studio.ui import editor as module
from utcp_ws_mcp.studio.ui.editor import EditorSupport, ManifestEditor, add_routes, describe_at

from ..pages import Site, shown, trigger, until


@pytest.fixture
async def user(site: Site) -> User:
    add_routes()
    return await site.open(lambda: None)


async def ask(user: User, what: str, text: str, offset: int | None = None) -> Any:
    body = {"text": text, "offset": len(text) if offset is None else offset}
    return (await user.http_client.post(f"/studio/{what}", json=body)).json()


COMPLETED = [
    ('{"name": "m", "too', 14, 18, 15),  # the words that are compared begin behind the quote
    ('{"name": "m", too', 14, 17, 14),
    ('{"ü": "😀", "too', 12, 16, 13),  # a browser counts the character in it twice
]


@pytest.mark.parametrize(("text", "start", "end", "word"), COMPLETED)
async def test_a_key_is_completed_from_where_it_begins(user: User, text: str, start: int, end: int, word: int) -> None:
    answer = await ask(user, "complete", text, end)
    assert (answer["start"], answer["end"], answer["word"]) == (start, end, word)
    (tools,) = (each for each in answer["options"] if each["label"] == "tools")
    assert set(tools) == {"label", "text", "caret", "detail", "description"}
    assert tools["text"][: tools["caret"]] == '"tools": ['


async def test_a_value_is_completed_with_its_quote(user: User) -> None:
    text = '{"send_as": "te'
    answer = await ask(user, "complete", text)
    assert (answer["start"], answer["end"], answer["word"]) == (12, 15, 12)
    assert '"text"' in [each["label"] for each in answer["options"]]


async def test_no_more_of_a_text_is_read_than_a_manifest_may_have(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '{"reply": {"mat'
    assert "match" in [each["label"] for each in (await ask(user, "complete", text))["options"]]
    monkeypatch.setattr(module, "MAX_MANIFEST_BYTES", 9)
    assert "match" not in [each["label"] for each in (await ask(user, "complete", text))["options"]]


async def test_the_field_at_a_place_is_described_with_where_it_is(user: User) -> None:
    answer = await ask(user, "describe", '{"é": "😀", "tools": []}', 14)
    assert answer == {"start": 12, "end": 19, "description": describe(["tools"])}
    assert answer["description"].startswith("tools: array")


DESCRIBED = [
    ('{"timeout": 3}', 4, ["timeout"]),
    ('{"timeout": 3}', 12, ["timeout"]),
    ('{"reply": {}}', 11, ["reply"]),
    ('{"reply": {"unknown": 1}}', 14, ["reply"]),
    ('{"reply": {"match": 1}}', 14, ["reply", "match"]),
    ('{"reply": "match"}', 13, ["reply"]),
    ("{}", 1, []),
]


@pytest.mark.parametrize(("text", "offset", "path"), DESCRIBED)
def test_a_place_is_described_by_its_field_or_by_the_object_around_it(text: str, offset: int, path: list[str]) -> None:
    assert describe_at(text, offset) == describe(path)
    assert bool(describe(path)) is bool(path)


class Edited:
    """An editor on a page, and what it reports."""

    def __init__(self, text: str) -> None:
        self.typed: list[str] = []
        self.moved: list[int] = []
        self.saved = 0
        self.asked: list[tuple[Any, ...]] = []
        self.in_browser = text
        self.editor = ManifestEditor(text, self.typed.append, self.moved.append, self.save)
        for element in (self.support, self.area):
            element.run_method = self.run  # type: ignore[assignment, method-assign]

    @property
    def support(self) -> EditorSupport:
        return self.editor._support

    @property
    def area(self) -> ui.codemirror:
        return self.editor._editor

    def save(self) -> None:
        self.saved += 1

    def run(self, *asked: Any) -> Any:
        self.asked.append(json.loads(json.dumps(asked)))

        async def text() -> str:
            return self.in_browser

        return text() if asked == ("text",) else None


async def open_editor(site: Site, text: str) -> tuple[User, Edited]:
    drawn: list[Edited] = []
    user = await site.open(lambda: drawn.append(Edited(text)))
    return user, drawn[0]


async def test_typing_moving_and_saving_are_reported(site: Site) -> None:
    user, edited = await open_editor(site, '{"😀": 1}')
    assert (edited.area.language, edited.support.props["label"]) == ("JSON", "Manifest")
    assert (edited.support.props["editor"], edited.support.props["readonly"]) == (edited.area.id, False)
    trigger(user, edited.support, "cursor", {"length": "9", "offset": "4"})
    await until(lambda: edited.moved == [3])
    assert edited.typed == []
    edited.area.value = "{}"
    assert edited.typed == ["{}"]
    trigger(user, edited.area, "keybinding", {"key": "Mod-s"})
    assert edited.saved == 1
    edited.editor.set_text("[]")
    assert edited.area.value == "[]"
    edited.editor.reveal(7)
    assert edited.asked[-1] == ["revealLine", 7]


async def test_what_stands_in_the_browser_is_right_where_the_texts_differ(site: Site) -> None:
    user, edited = await open_editor(site, "{}")
    edited.in_browser = '{"name": "é"}'
    trigger(user, edited.support, "cursor", {"length": 13, "offset": 11})
    await until(lambda: edited.moved)
    assert (edited.area.value, edited.typed, edited.moved) == (edited.in_browser, [edited.in_browser], [11])
    trigger(user, edited.support, "cursor", {"length": 13, "offset": 2})
    await until(lambda: edited.moved[1:])
    assert edited.asked.count(["text"]) == 1


async def test_findings_are_marked_at_their_values_but_notes_are_not(site: Site) -> None:
    _, edited = await open_editor(site, "{}")
    text = '{"😀": 1,\n "url": 2}'
    findings = [
        Finding(Severity.ERROR, "url", "is no text", "wrong", 2, 9),
        Finding(Severity.WARNING, "", "is odd", "odd", 1, 2),
        Finding(Severity.MISSING, "", "is not set", "missing", 2, 2),
        Finding(Severity.NOTE, "", "is long", "long", 1, 2),
        Finding(Severity.ERROR, "", "is cut", "cut", 9, 1),
    ]
    edited.editor.show(text, findings)
    ((name, length, marks),) = edited.asked
    assert (name, length) == ("show", 20)
    assert marks == [
        {"from": 18, "to": 19, "kind": "studio-problem-error", "text": str(findings[0])},
        {"from": 1, "to": 5, "kind": "studio-problem-warning", "text": str(findings[1])},
        {"from": 11, "to": 16, "kind": "studio-problem-warning", "text": str(findings[2])},
    ]


async def test_a_draft_can_only_be_read(site: Site) -> None:
    def draw() -> None:
        EditorSupport(ui.codemirror("{}", language="JSON"), "Draft", readonly=True)

    user = await site.open(draw)
    (support,) = shown(user, EditorSupport)
    assert (support.props["label"], support.props["readonly"]) == ("Draft", True)
