"""Query processes that may be killed at any moment: DuckDB, locked, with nothing in reach but what a query may see."""
