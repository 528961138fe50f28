"""The base of all manifest models, and the types of values that have more than one written form."""

# No `from __future__ import annotations` in this package: pydantic would have to evaluate each annotation again.

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

Json = Any
"""A value of a JSON document. `Any`, because a checked recursive type would cost time for content that stays as is."""

ExpressionSource = str
"""The text of an expression. The core compiles it; the models only carry it."""


class Model(BaseModel):
    """A frozen part of a manifest that rejects unknown keys.

    Error texts never repeat the input and `repr` shows no values, because a secret can be in any field.
    """

    # `defer_build`: most models are only used inside others, and a validator of their own would never be called.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ()


class FieldError(ValueError):
    """A value that a validator rejects. A ValueError, as pydantic expects; `code` is one of `errors.codes`."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


NUMBER_TAG: Final = "a number"
EXPRESSION_TAG: Final = "an expression"


def _number_or_expression(value: object) -> str:
    # A number that came from a variable is a string: "${SECONDS}" is "5" by now, and not an expression.
    return EXPRESSION_TAG if isinstance(value, str) and not re.fullmatch(r"[0-9.]+", value) else NUMBER_TAG


# A discriminator instead of a plain union, so that an invalid value gives one problem and not one per alternative.
_NUMBER_OR_EXPRESSION = Discriminator(_number_or_expression)
_TaggedExpression = Annotated[str, Tag(EXPRESSION_TAG)]

CountOrExpression = Annotated[Annotated[int, Field(ge=1), Tag(NUMBER_TAG)] | _TaggedExpression, _NUMBER_OR_EXPRESSION]
"""A whole number of at least 1, or an expression that evaluates to one."""

SecondsOrExpression = Annotated[
    Annotated[float, Field(gt=0), Tag(NUMBER_TAG)] | _TaggedExpression, _NUMBER_OR_EXPRESSION
]
"""Seconds greater than 0, or an expression that evaluates to them."""


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_PARAMETER: Final = {"type": ["string", "number", "boolean", "null"]}
_EACH: Final = {"type": "object", "required": ["$each"]}
_PARAMETERS: Final = {"anyOf": [_PARAMETER, _EACH, {"type": "array", "items": {"anyOf": [_PARAMETER, _EACH]}}]}

Query = Annotated[dict[str, Json], WithJsonSchema({"type": "object", "additionalProperties": _PARAMETERS})]
"""The parameters of a URL by name, whose values are templates. Compiling refuses objects, with the place of each."""

OneOrMore = Annotated[tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=str | tuple[str, ...])]
"""Strings. A single one needs no array."""
