"""Feeds: connections that are kept while somebody reads, and the reads that wait for events."""
