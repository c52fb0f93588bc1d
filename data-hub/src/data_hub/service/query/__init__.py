"""Use cases of the query API: run, page, export, cancel, history."""
