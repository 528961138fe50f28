"""Make manifests from descriptions of APIs: documents in, a manifest and a report out. Nothing of it runs later."""
