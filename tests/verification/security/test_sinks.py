"""The measurement of sinks drives every place where bytes leave."""

from __future__ import annotations

from tests.observability.test_sinks import GUARDED
from verification.security.sinks import DRIVEN, searched_forms


def test_every_guarded_place_is_driven() -> None:
    assert set(DRIVEN) == set(GUARDED)


def test_the_forms_of_a_credential_cover_the_filters() -> None:
    assert {"as it is", "base64", "base64url", "hex", "urlencode", "to_json", "escape"} <= set(
        searched_forms("Kx+/7a9B")
    )
