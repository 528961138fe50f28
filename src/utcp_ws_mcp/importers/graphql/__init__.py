"""GraphQL: a schema as text, or as an endpoint describes itself."""
