"""What to send, and what came back: templates, messages and exchanges, without I/O."""
