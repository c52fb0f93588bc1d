"""Use cases of the government side."""
