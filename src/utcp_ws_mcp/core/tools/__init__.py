"""Compiled tools: what a manifest says of a tool, ready to be called."""
