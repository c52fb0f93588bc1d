"""Organisations, people, roles, credentials, tokens and the audit chain."""
