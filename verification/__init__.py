"""Checks of what the documentation promises: reliability, security, conformance, real servers."""
