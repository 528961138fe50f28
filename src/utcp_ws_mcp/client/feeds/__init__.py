"""Feeds: connections that are kept while there are readers, and the reads that wait for events."""
