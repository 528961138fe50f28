"""The words of expressions: functions, filters, tests and methods, and what other languages call them.

MiniJinja has no function that returns its names; a test compares these with what it has. A name that is not listed here
is asked of MiniJinja itself, so that a newer version may have more.
"""

from __future__ import annotations

from typing import Final

FUNCTIONS: Final = {"uuid": 0, "next_id": 0, "counter": 0, "random_hex": 1}
"""Names that expressions call, with their number of arguments; they are bound for each evaluation."""

BUILTIN_FILTERS: Final = frozenset(
    (
        *("abs", "attr", "batch", "bool", "capitalize", "chain", "count", "d", "default", "dictsort", "e", "escape"),
        *("filesizeformat", "first", "float", "format", "groupby", "indent", "int", "items", "join", "last", "length"),
        *("lines", "list", "lower", "map", "max", "min", "pluralize", "pprint", "reject", "rejectattr", "replace"),
        *("reverse", "round", "safe", "select", "selectattr", "slice", "sort", "split", "string", "striptags", "sum"),
        *("title", "tojson", "trim", "truncate", "unique", "upper", "urlencode", "wordwrap", "zip"),
    )
)
"""The filters of MiniJinja."""

BUILTIN_TESTS: Final = frozenset(
    (
        *("boolean", "defined", "divisibleby", "endingwith", "eq", "equalto", "escaped", "even", "false", "filter"),
        *("float", "ge", "greaterthan", "gt", "in", "integer", "iterable", "le", "lessthan", "lower", "lt", "mapping"),
        *("ne", "none", "number", "odd", "safe", "sameas", "sequence", "startingwith", "string", "test", "true"),
        *("undefined", "upper"),
    )
)
"""The tests of MiniJinja; those of two signs (`select('==', 1)`) aside."""

METHODS: Final = frozenset(
    (
        *("capitalize", "count", "endswith", "find", "format", "isalnum", "isalpha", "isascii", "isdigit", "islower"),
        *("isnumeric", "isspace", "isupper", "join", "lower", "lstrip", "replace", "rfind", "rstrip", "split"),
        *("splitlines", "startswith", "strip", "title", "upper", "get", "items", "keys", "values", "copy", "index"),
        *("decode", "hex"),
    )
)
"""Methods of texts, objects, lists and bytes. Those that would change a value (`append`) are not among them: a message
belongs to all calls."""

FOREIGN_FILTERS: Final = {
    **dict.fromkeys(("fromjson", "from_json_string", "parse_json", "json_decode", "json_parse"), "from_json"),
    **dict.fromkeys(("json", "json_encode", "stringify"), "to_json"),
    **dict.fromkeys(("b64", "b64encode", "btoa", "base64encode", "base64_encode"), "base64"),
    **dict.fromkeys(("b64decode", "atob", "base64decode", "base64_decode", "frombase64"), "unbase64"),
    **dict.fromkeys(("len", "size", "strlen"), "length"),
    **dict.fromkeys(("str", "to_string", "tostring"), "string"),
    **dict.fromkeys(("number", "to_number", "tonumber"), "int' or 'float"),
    **dict.fromkeys(("strip", "trim_all"), "trim"),
    **dict.fromkeys(("lowercase", "downcase", "tolower"), "lower"),
    **dict.fromkeys(("uppercase", "upcase", "toupper"), "upper"),
    **dict.fromkeys(("regex", "regex_search", "regex_match", "regex_findall", "match", "search"), "regex_find"),
    **dict.fromkeys(("decode", "to_text"), "utf8"),
    **dict.fromkeys(("tohex", "to_hex", "hexlify"), "hex"),
    **dict.fromkeys(("fromhex", "from_hex", "unhexlify"), "unhex"),
    **dict.fromkeys(("url_encode", "quote", "encodeuri", "encodeuricomponent"), "urlencode"),
    **dict.fromkeys(("substring", "substr"), "part"),
    **dict.fromkeys(("pluck",), "map(attribute='…')"),
}
"""What filters are called elsewhere, and their names here."""

FOREIGN_TESTS: Final = {
    **dict.fromkeys(("startswith", "starts_with"), "startingwith"),
    **dict.fromkeys(("endswith", "ends_with"), "endingwith"),
    **dict.fromkeys(("dict", "object", "map"), "mapping"),
    **dict.fromkeys(("list", "array"), "sequence"),
    **dict.fromkeys(("str", "text"), "string"),
    **dict.fromkeys(("int",), "integer"),
    **dict.fromkeys(("null", "nil"), "none"),
    **dict.fromkeys(("bool",), "boolean"),
    **dict.fromkeys(("exists", "present", "set"), "defined"),
}
"""What tests are called elsewhere, and their names here."""

FOREIGN_METHODS: Final = {
    **dict.fromkeys(("includes", "contains", "has", "__contains__"), "'word' in value"),
    **dict.fromkeys(("hasOwnProperty", "has_key"), "'name' in value"),
    **dict.fromkeys(("startsWith", "starts_with", "HasPrefix"), "value.startswith('…')"),
    **dict.fromkeys(("endsWith", "ends_with", "HasSuffix"), "value.endswith('…')"),
    **dict.fromkeys(("toUpperCase", "toUpper", "upcase"), "value | upper"),
    **dict.fromkeys(("toLowerCase", "toLower", "downcase", "casefold"), "value | lower"),
    **dict.fromkeys(("match", "matches", "search", "test", "exec", "matchAll", "findall"), "value | regex_find('…')"),
    **dict.fromkeys(("substring", "substr", "slice", "subarray"), "value[start:stop]"),
    **dict.fromkeys(("charAt", "at", "elementAt"), "value[0]"),
    **dict.fromkeys(("removeprefix", "removesuffix"), "value[3:] (or [:-3])"),
    **dict.fromkeys(("indexOf", "lastIndexOf"), "value.find('…')"),
    **dict.fromkeys(("length", "len", "size"), "value | length"),
    **dict.fromkeys(("trim", "trimStart", "trimEnd"), "value.strip()"),
    **dict.fromkeys(("replaceAll", "gsub", "sub"), "value.replace('old', 'new')"),
    **dict.fromkeys(("toString", "String", "str"), "value | string"),
    **dict.fromkeys(("toJSON", "stringify", "dumps"), "value | to_json"),
    **dict.fromkeys(("parse", "loads"), "value | from_json"),
    **dict.fromkeys(("concat", "append", "push", "extend", "add"), "value + [item], or value ~ 'text'"),
    **dict.fromkeys(("filter", "some", "every", "any", "all"), "value | selectattr('name', 'eq', 'x')"),
    **dict.fromkeys(("map",), "value | map(attribute='name')"),
    **dict.fromkeys(("sort", "reverse", "first", "last"), "value | sort, | reverse, | first or | last"),
    **dict.fromkeys(("pop", "shift"), "value[-1] or value[0]"),
    **dict.fromkeys(("toFixed",), "value | round(2)"),
    **dict.fromkeys(("encode",), "value | bytes"),
    **dict.fromkeys(("entries",), "value.items()"),
}
"""What methods are called elsewhere, and what to write here."""
