"""Alembic migrations of evaluation."""
