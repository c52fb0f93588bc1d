"""Migrations of the data hub's database."""
