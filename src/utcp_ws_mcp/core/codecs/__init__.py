"""Codecs of protocols whose messages are more than one JSON value."""
