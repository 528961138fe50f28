"""Expressions over messages and arguments: names, filters, evaluation."""
