"""Compiled tools, ready to be called."""
