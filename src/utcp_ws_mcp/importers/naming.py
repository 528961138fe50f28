"""Names and descriptions of tools, and what a name says about an operation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from itertools import count
from typing import Any, Final

from ..core.templates.tokens import has_placeholders
from .failures import Inexpressible
from .model import MAX_DESCRIPTION

MAX_NAME: Final = 64
"""Characters of the name of a tool."""

MAX_MANUAL_NAME: Final = 18
"""Characters of the name of a manual, which stands before those of its tools."""

_ARGUMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
_WORD: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_READING: Final = _words(
    "get list read query search find fetch describe show count is has can check status ping estimate "
    "lookup browse view info version capture resolve peek inspect validate verify decode parse export "
    "history supports supported"
)
_DESTROYING: Final = _words(
    "delete remove clear reset drop destroy purge erase wipe kill terminate uninstall unpublish cancel revoke"
)


def words(name: str) -> list[str]:
    """Return the words of a name, in lower case: `eth_getBalance` has `eth`, `get`, `balance`."""
    return [word.lower() for word in _WORD.findall(name)]


def is_reading(name: str, *texts: Any) -> bool:
    """Return whether an operation probably changes nothing.

    Its name says so by its verb, behind its namespaces. If the name has no known verb, the description does by its
    first word, as in "Returns the balance".
    """
    own = words(re.split(r"[./:]", name)[-1])
    for word in own[:2]:
        if word in _READING or word in _VERBS:
            return word in _READING
    first = next((found for text in texts if isinstance(text, str) for found in words(text)[:1]), "")
    return first in _READING_SENTENCES


_READING_SENTENCES: Final = _words(
    "get gets return returns retrieve retrieves list lists fetch fetches query queries read reads provides"
)
_VERBS: Final = (
    _words(
        "set add create update delete remove put post send start stop run do make call invoke write change "
        "toggle enable disable save load open close move rename execute apply request subscribe unsubscribe"
    )
    | _DESTROYING
)


def hints(name: str, read_only: bool) -> dict[str, bool]:
    """Return the annotations of a tool."""
    if read_only:
        return {"readOnlyHint": True}
    return {"readOnlyHint": False, "destructiveHint": bool(_DESTROYING & set(words(name)))}


def tool_name(name: str, taken: Collection[str]) -> str:
    """Return a free name that hosts accept, the name itself if they do."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", without_accents(name)).strip("_.-")[:MAX_NAME] or "operation"
    return free_name(safe, taken)


def without_accents(text: str) -> str:
    """Return a text with `u` for `ü`: letters that hosts accept, where there are any."""
    decomposed = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: the name, or the name with a number."""
    if name not in taken:
        return name
    return next(each for number in count(2) if (each := f"{name}_{number}") not in taken)


def argument_name(name: str, taken: Collection[str]) -> str:
    """Return a free name for an argument, the name itself if hosts accept it and expressions can use it."""
    plain = "_".join(re.findall(r"[A-Za-z0-9]+", without_accents(name))).lower()
    safe = name if _ARGUMENT.match(name) else plain[:MAX_NAME]
    safe = safe if re.match(r"[A-Za-z_]", safe) else f"arg_{safe}".rstrip("_")
    return free_name(safe, taken)


def message_key(name: str) -> str:
    """Return the name of a property as a key of a message.

    Raises:
        Inexpressible: if a template could not have it.
    """
    if has_placeholders(name) or name in _FORMS:
        raise Inexpressible(f"its property {name[:40]!r} would be read as a template")
    return name


_FORMS: Final = frozenset({"$each", "$template", "$raw", "$base64", "$file"})
"""Keys that mean something else in a message."""


def manual_name(title: str) -> str:
    """Return the name of a manual for the title of an API."""
    name = ""
    for word in words(without_accents(title)):
        if word not in _NOISE and len(name) + len(word) < MAX_MANUAL_NAME:
            name = f"{name}_{word}" if name else word
        elif name and word not in _NOISE:
            break
    name = name or "api"
    return name if name[0].isalpha() else f"api_{name}"


_NOISE: Final = _words(
    "api rest async asyncapi openrpc docs documentation the websocket web socket json rpc service specification "
    "endpoints interface of and for"
)


def summarize(*texts: Any, name: str, returns: str = "") -> str:
    """Return a description: the first of the texts that says something, or the name in words; never empty."""
    for text in texts:
        if isinstance(text, str) and (plain := _first_paragraph(text)):
            break
    else:
        spoken = " ".join(words(name)) or name
        plain = f"{spoken[:1].upper()}{spoken[1:]}"
    plain = plain if plain.endswith((".", "!", "?", "…", ":")) else f"{plain}."
    return f"{plain} {returns}".strip() if len(plain) + len(returns) < MAX_DESCRIPTION else plain


def _first_paragraph(text: str) -> str:
    first = re.split(r"\n\s*\n", re.sub(r"<[a-zA-Z/][^>\n]*>", "", text).strip())[0]
    plain = " ".join(first.split())
    return plain if len(plain) <= MAX_DESCRIPTION else plain[: MAX_DESCRIPTION - 1].rsplit(" ", 1)[0] + "…"
