"""Use cases of the data hub."""
