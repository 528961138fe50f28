"""Why one operation of a description cannot be imported."""


class Inexpressible(Exception):
    """An operation that cannot be expressed in a manifest; the text says why. It is skipped, the others are not."""
