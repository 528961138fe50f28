"""What the parts of a manifest are made of: their base, and values that may be written in several ways."""

# No `from __future__ import annotations` where parts are defined: pydantic would compile each annotation again.

import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

Json = Any
ExpressionSource = str


def _number_or_expression(value: object) -> str:
    return EXPRESSION_TAG if isinstance(value, str) and not re.fullmatch(r"[0-9.]+", value) else NUMBER_TAG


NUMBER_TAG, EXPRESSION_TAG = "a number", "an expression"
_NUMBER_OR_EXPRESSION = Discriminator(_number_or_expression)
_TaggedExpression = Annotated[str, Tag(EXPRESSION_TAG)]
CountOrExpression = Annotated[Annotated[int, Field(ge=1), Tag(NUMBER_TAG)] | _TaggedExpression, _NUMBER_OR_EXPRESSION]
"""A whole number from 1 on, or an expression that gives one."""

SecondsOrExpression = Annotated[
    Annotated[float, Field(gt=0), Tag(NUMBER_TAG)] | _TaggedExpression, _NUMBER_OR_EXPRESSION
]
"""Seconds above 0, or an expression that gives them."""


class Model(BaseModel):
    """A frozen part of a manifest. Unknown keys are errors; error texts never repeat the input.

    A secret may stand in any field, so `repr` shows none. `defer_build`: a part has a validator of its own only if it
    is ever checked alone; in a whole it is built with the whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ()
