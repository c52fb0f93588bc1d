"""Engines of the data hub: table format, SQL engine, file formats."""
