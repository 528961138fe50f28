"""What the catalogue says of a manifest: `catalog` at the top of a file."""

from pydantic import Field

from .base import Model


class CatalogInfo(Model):
    """What the manifest is for, what it needs, and what it was run against, for the catalogue."""

    summary: str = Field(min_length=1, description="What the tools are for, in one line.")
    setup: str = Field("", description="What must run, and where it is switched on.")
    run_against: str | None = Field(
        None,
        description="The program and the version with which the tools were run; by default they were written from the "
        "documentation of the API only.",
    )
    variables: dict[str, str] = Field(
        default_factory=dict, description="The variables by name, and where their values are found."
    )
    limits: str = Field("", description="What the API limits: rates, connections, sizes, costs.")
