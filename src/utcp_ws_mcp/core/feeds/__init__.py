"""Feeds: events that are kept for readers, without I/O and without a clock."""
