"""Expressions over messages and arguments, their filters, and the names they see."""
