"""AsyncAPI 2 and 3: operations with and without replies, events, connections."""
