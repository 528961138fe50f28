"""Pydantic models of the manifest: the only source of its fields, their checks and their descriptions."""
