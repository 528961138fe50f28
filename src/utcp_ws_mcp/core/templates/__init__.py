"""Message templates: compiled when a manifest is loaded, rendered for each call."""
