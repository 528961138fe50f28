"""Pydantic models of the manifest."""
