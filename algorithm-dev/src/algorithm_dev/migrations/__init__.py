"""Migrations of algorithm-dev."""
