"""HTTP routes of the data hub."""
