"""Who may call over HTTP: the server's own bearer token, or access tokens of an OAuth 2.1 authorization server."""
