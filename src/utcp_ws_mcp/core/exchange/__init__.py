"""Exchanges on one connection: which incoming message belongs to which call, and what it means."""
