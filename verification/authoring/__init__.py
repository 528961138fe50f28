"""A scripted model drives `author` from documentation to working tools: what it costs, and what orders achieve."""
